"""Every exception of llmmetrics."""


class LlmMetricsError(Exception):
    """What all of them derive from."""


class ConfigError(LlmMetricsError, ValueError):
    """An error in the user's own configuration: the message says what, where, and what to do."""
