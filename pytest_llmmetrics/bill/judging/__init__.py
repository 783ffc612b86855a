"""The verdict: what has changed against the baseline, and whether it blocks. Pure."""
