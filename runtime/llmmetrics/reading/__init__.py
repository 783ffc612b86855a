"""Reads a whole exchange: a call's usage, status and error type."""
