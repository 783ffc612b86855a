"""Where traffic is metered: one file for each library."""
