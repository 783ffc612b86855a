"""`llmmetrics top`: scrapes, the figures computed from them, and their display in a terminal."""
