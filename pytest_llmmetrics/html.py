"""stub"""

from pytest_llmmetrics.report import Report


def page(report: Report) -> str:
    return ""
