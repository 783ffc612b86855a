"""The contract of the metrics: its families, and checks of a scrape."""
