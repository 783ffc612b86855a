"""What the simulated provider is asked, and what it answers, in no format yet."""
