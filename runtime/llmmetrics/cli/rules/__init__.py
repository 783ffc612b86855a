"""`llmmetrics rules check`: a user's own rules and dashboards, against simulated traffic of known truth."""
