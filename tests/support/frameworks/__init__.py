"""The frameworks that people use: `drivers` are in their words, `cells` are what is run of each, `table` is the result.

`run`, `cells`, `transports` and the drivers run inside a framework's environment; `table` in the tests' own.
"""
