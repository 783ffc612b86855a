"""Time, processes and forks."""
