"""Requests and answers of the simulated provider, independent of wire formats."""
