"""`llmmetrics demo`, as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from llmmetrics.cli import main

DEMO = [sys.executable, "-m", "llmmetrics.cli", "demo"]
FAMILIES = (
    *("llm_requests_total", "llm_request_duration_seconds", "llm_tokens_total", "llm_estimated_cost_usd"),
    *("llm_errors_total", "llm_backend_health", "llm_active_requests", "llm_time_to_first_chunk_seconds"),
)


def value(text: str, sample: str) -> float:
    return float(re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)[1])


def test_once_prints_the_table_and_the_metrics():
    done = subprocess.run(
        [*DEMO, "--once", "--port", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for family in FAMILIES:
        assert f"# TYPE {family} " in text
    assert re.search(r"openai-primary .* rate_limit 1", text)
    openai = 'backend="openai-primary",model="gpt-4o-mini"'
    statuses = {
        each: value(text, f'llm_requests_total{{{openai},status="{each}"}}')
        for each in ("success", "failure", "timeout", "cancelled")
    }
    assert statuses == {"success": 3, "failure": 1, "timeout": 0, "cancelled": 1}
    assert value(text, 'llm_errors_total{backend="anthropic-claude",error_type="timeout"}') == 1
    assert value(text, 'llm_errors_total{backend="gemini",error_type="auth"}') == 1
    assert value(text, 'llm_tokens_total{backend="gemini",model="gemini-2.5-flash",token_type="prompt"}') == 36
    # 18 prompt and 16 completion tokens, three times; then an estimate of the stream that was cut
    assert value(text, f"llm_estimated_cost_usd{{{openai}}}") >= 3 * (18 * 0.15 + 16 * 0.60) / 1e6
    assert value(text, 'llm_estimated_cost_usd{backend="local-ollama",model="llama3.2"}') == 0
    assert "llmmetrics_internal_errors_total{" not in text


@pytest.mark.skipif(sys.platform == "win32", reason="sends the interrupt that Ctrl-C sends on POSIX")
def test_it_serves_until_it_is_interrupted():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = subprocess.Popen([*DEMO, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in running.stdout:
            if "/metrics" in line:
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            assert b"# TYPE llm_requests_total counter" in page.read()
    finally:
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 0
    assert errors == ""


def test_a_busy_port_is_one_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["demo", "--once", "--port", str(taken.getsockname()[1])]) == 1
    error = capsys.readouterr().err
    assert "choose another port" in error
    assert error.count("\n") == 1


def test_a_wrong_call_exits_with_2():
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--port", "http"])
    assert caught.value.code == 2
