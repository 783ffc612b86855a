"""`llmmetrics doctor`: why metrics or costs may be missing or wrong, and what to do."""
