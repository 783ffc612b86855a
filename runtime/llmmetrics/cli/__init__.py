"""The command line: one file, or one package, for each command."""
