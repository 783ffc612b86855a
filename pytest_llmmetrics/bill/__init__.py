"""The bill: the cost of a suite's LLM calls, its reports, its baseline and its gate."""
