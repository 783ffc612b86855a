"""Test LLM calls against the very counters that production exports."""
