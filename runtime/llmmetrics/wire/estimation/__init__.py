"""Estimates tokens where a provider reports none: prompts, completions, media. Pure."""
