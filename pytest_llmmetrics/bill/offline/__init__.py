"""What is done with reports and baselines alone: compare, merge, price again."""
