"""Chaos for budgets: client processes, a provider that bills, a ledger, and faults by a fixed seed.

`judging` says what has to hold, `scenarios` is the table, `trial` runs one row with one seed, and
`PYTHONPATH=tests python -m support.chaos --seeds 200` runs the table.
"""
