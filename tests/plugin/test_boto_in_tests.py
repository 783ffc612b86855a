"""What a test asks through boto3 is seen by the fixtures and by `pytest --llm-metrics`, whenever botocore is imported."""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["pytester"]

SUITE = """
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"

def test_it(llm_server, llm_metrics):
    import sys
    assert "botocore" not in sys.modules
    import boto3
    bedrock = boto3.client("bedrock-runtime", endpoint_url=llm_server.url, region_name="us-east-1",
                           aws_access_key_id="x", aws_secret_access_key="y")
    ask = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    llm_server.replies("one", "two", prompt_tokens=12, completion_tokens=3)
    usage = bedrock.converse(**ask)["usage"]
    assert list(bedrock.converse_stream(**ask)["stream"])[-1]["metadata"]["usage"] == usage
    assert llm_metrics.calls == 2
    assert llm_metrics.tokens["total"] == 2 * usage["totalTokens"] == 30
    assert llm_metrics.last.model == MODEL
"""


def test_calls_through_boto3(pytester):
    pytest.importorskip("boto3", reason="needs boto3: pip install boto3")
    pytester.makepyfile(test_it=SUITE)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--llm-metrics", "--llm-report=report.json")
    done.assert_outcomes(passed=1)
    report = json.loads((pytester.path / "report.json").read_text("utf8"))
    assert sum(row["calls"] for row in report["rows"]) == 2
