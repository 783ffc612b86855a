"""`llmmetrics demo`: simulated providers, real HTTP traffic, a live table, and `/metrics`."""
