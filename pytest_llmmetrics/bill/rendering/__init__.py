"""Renders a bill: terminal summary, Markdown, HTML and GitHub annotations."""
