"""The contract of the metrics: its families, and what a scrape must satisfy."""
