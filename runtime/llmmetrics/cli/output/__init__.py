"""What the commands print: findings, tables, and a summary of the settings."""
