"""The bill: what a suite's LLM calls cost, its reports, its baseline and its gate."""
