"""What is drawn of a bill: the terminal's summary, Markdown, HTML and GitHub's annotations."""
