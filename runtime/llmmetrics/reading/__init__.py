"""Reads a whole exchange: what a call came to, its status and its error type."""
