"""Cassettes: finds, matches, replays and records exchanges, removes secrets, compares with a live endpoint."""
