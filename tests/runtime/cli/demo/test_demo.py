"""`llmmetrics demo`, as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from support.servers import free_port, get, running, until

from llmmetrics.cli.demo.clock import MovedClock, served
from llmmetrics.cli.main import main
from llmmetrics.system.interrupts import stopping

DEMO = [sys.executable, "-m", "llmmetrics", "demo"]
FAMILIES = (
    *("llm_requests_total", "llm_request_duration_seconds", "llm_tokens_total", "llm_estimated_cost_usd"),
    *("llm_errors_total", "llm_backend_health", "llm_active_requests", "llm_time_to_first_chunk_seconds"),
    "llm_backend_budget_usd",
)


def value(text: str, sample: str) -> float:
    return float(re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)[1])


def test_once_prints_the_board_and_the_metrics():
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
    board = text.partition("# HELP")[0]
    assert board.startswith("llmmetrics demo  http://127.0.0.1:")
    assert "1 unhealthy  since its start" in board
    assert re.search(r"openai-primary +5 .* 20% ", board)
    assert re.search(r"openai-capped .* 102% \$0\.0102 of \$0\.0100 refused 1", board)
    assert max(map(len, board.splitlines())) <= 80
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
    assert value(text, 'llmmetrics_unmetered_requests_total{backend="openai-primary"}') == 1
    # a cent, of which three calls at $0.00339 each were made
    capped = 'backend="openai-capped"'
    assert value(text, f'llm_backend_budget_usd{{{capped},limit_type="max"}}') == 0.01
    assert value(text, f'llm_backend_budget_usd{{{capped},limit_type="current"}}') == 0.01017
    assert value(text, f'llm_requests_total{{{capped},model="o1",status="success"}}') == 3
    assert value(text, f'llmmetrics_budget_refusals_total{{{capped},reason="limit"}}') == 1
    assert value(text, f"llm_backend_health{{{capped}}}") == 0


def test_it_leaves_the_user_s_own_state_alone(tmp_path):
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    subprocess.run([*DEMO, "--once", "--port", "0"], capture_output=True, env=environ, check=True)
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def moved(tmp_path):
    """A demo that runs: where its metrics are, and where its clock is."""
    port, clock = free_port(), free_port()
    with running([*DEMO, "--port", str(port), "--clock-port", str(clock)], tmp_path / "log"):
        until(lambda: get(f"http://127.0.0.1:{clock}/now"), "the clock")
        yield f"http://127.0.0.1:{port}/metrics", f"http://127.0.0.1:{clock}"


def post(url):
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30) as answer:
        return answer.read().decode().strip()


def test_a_budget_that_runs_dry_comes_back_when_the_clock_is_moved(moved):
    metrics, clock = moved
    capped = 'backend="openai-capped"'

    def standing():
        text = get(metrics)
        names = (f'llm_requests_total{{{capped},model="o1",status="success"}}', f"llm_backend_health{{{capped}}}")
        return tuple(value(text, name) for name in names)

    made = 0
    for _ in range(3):
        spent = until(lambda made=made: (now := standing())[0] >= made + 3 and now[1] == 0 and now, "a spent budget")
        made = spent[0]
        assert made % 3 == 0
        before = datetime.fromisoformat(get(f"{clock}/now").strip())
        after = datetime.fromisoformat(post(f"{clock}/advance?seconds=3600"))
        assert after - before >= timedelta(hours=1)


@pytest.mark.parametrize(
    "path",
    ["/advance", "/advance?seconds=", "/advance?seconds=nan", "/advance?seconds=1e99", "/advance?seconds=1&seconds=2"],
)
def test_a_clock_that_cannot_be_moved_so(path):
    with served(MovedClock(), 0) as url, pytest.raises(urllib.error.HTTPError, match="400") as caught:
        post(f"{url}{path}")
    assert caught.value.read() == b"give seconds as one number, as in /advance?seconds=3600\n"


def test_the_clock_s_port_says_what_it_has():
    clock = MovedClock()
    with served(clock, 0) as url:
        for wrong in ("/", "/advance?seconds=1"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(f"{url}{wrong}")
        assert clock.by == timedelta()
        # also back, as the clocks of machines do
        post(f"{url}/advance?seconds=-3600")
        assert clock.by == timedelta(hours=-1)


@pytest.mark.skipif(sys.platform == "win32", reason="sends the interrupt that Ctrl-C sends on POSIX")
def test_it_serves_until_it_is_interrupted():
    demo = subprocess.Popen([*DEMO, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = ""
    try:
        while not (url := re.search(r"Metrics\s+at\s+(\S+),", said)) and (line := demo.stdout.readline()):
            said += line
        assert url, (said, demo.stderr.read())
        assert "# TYPE llm_requests_total counter" in get(url[1])
    finally:
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=20)
    assert demo.returncode == 0
    assert errors == ""


@pytest.mark.skipif(sys.platform == "win32", reason="its terminal is POSIX's")
def test_it_shows_the_board_of_top_while_it_goes_on():
    from support.terminal import terminal

    with terminal([*DEMO, "--port", "0"]) as screen:
        until(lambda: re.search(r"openai-capped .* 102% .* refused \d", screen.text), "a spent budget")
        assert re.search(r"llmmetrics demo +http://\S+ +1 unhealthy  last (\d+ min )?\d+ s", screen.text)
        assert re.search(r"backend +calls +req/s +active +errors +p95", screen.text)
        assert re.search(r"just sent: .*; Ctrl-C quits", screen.text)
        screen.press("\x03")
        assert screen.end() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot send itself Ctrl-C")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_not_lost_where_exceptions_are(number):
    before = signal.getsignal(number)
    with stopping() as asked:
        assert not asked()
        with suppress(BaseException):
            signal.raise_signal(number)
        assert asked()
        # a second Ctrl-C
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("option", "said"), [("--port", "choose another port"), ("--clock-port", "choose another --clock-port")]
)
def test_a_busy_port_is_one_sentence(capsys, option, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["demo", "--once", "--port", "0", option, str(taken.getsockname()[1])]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_metrics_are_served_where_they_should(capsys):
    # an address of the documentation, which no machine has
    assert main(["demo", "--once", "--port", "0", "--host", "192.0.2.1"]) == 1
    assert "cannot serve /metrics on 192.0.2.1:0" in capsys.readouterr().err


def test_a_wrong_call_exits_with_2():
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--port", "http"])
    assert caught.value.code == 2
