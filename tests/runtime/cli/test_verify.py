"""`llmmetrics verify URL`: what it says of the demo, of broken pages, and of what is no page at all."""

from __future__ import annotations

import gzip
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry
from support.metrics_pages import KINDS, serving
from support.servers import free_port, get, running, until

from llmmetrics import Meter
from llmmetrics.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSIC, OPENMETRICS = ((GOLDEN / name).read_text("utf8") for name in ("metrics.txt", "metrics.openmetrics.txt"))


def pages(change=lambda text: text, *, classic_only=False):
    """An answer of the golden pages, changed, the nth time they are asked for."""
    asked = []

    def answer(headers):
        openmetrics = "openmetrics" in headers["Accept"] and not classic_only
        text = OPENMETRICS if openmetrics else CLASSIC
        asked.append(openmetrics)
        changed = change(text, len(asked)) if change.__code__.co_argcount == 2 else change(text)
        return 200, {"Content-Type": KINDS[openmetrics]}, changed.encode()

    return answer


def sub(pattern, by):
    return lambda text: re.sub(pattern, by, text, flags=re.MULTILINE)


BROKEN = {
    "the cost with a suffix": (
        sub("^llm_estimated_cost_usd{", "llm_estimated_cost_usd_total{"),
        "the cost metric has no _total",
    ),
    "a status of its own": (sub('status="failure"', 'status="error"'), "has status='error'"),
    "a key in a label": (sub('"local"', '"sk-proj-abcdefghijkl0123456789"'), "looks like an API key"),
    "a count that is not its buckets'": (
        sub(r"^(llm_request_duration_seconds_count.*) .*", r"\1 9"),
        "a count of 9 and",
    ),
    "a counter that falls": (
        lambda text, nth: text.replace("1000.0", "1.0") if nth == 3 else text,
        "went from 1000 to 1 in the next scrape",
    ),
    "a total that is not the sum": (
        sub(r'^(llm_tokens_total.*"total"}) .*', r"\1 7"),
        "compute total as the sum of both",
    ),
    "a page that is cut": (lambda text: text[: len(text) // 2], "the page may be cut"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_fails_and_it_says_why(name, capsys):
    change, says = BROKEN[name]
    with serving(pages(change)) as url:
        assert main(["verify", url]) == 1
    said = capsys.readouterr().out
    assert says in said
    assert all(re.match(r"error    \S.* \(.*\) -- \S", line) for line in said.splitlines())
    assert "sk-proj-abc" not in said


def test_what_keeps_it_passes(capsys):
    with serving(pages()) as url:
        assert main(["verify", url]) == 0
    assert re.fullmatch(r"ok       \d+ series in both formats keep the contract\n", capsys.readouterr().out)


def test_a_program_may_speak_the_classic_format_alone(capsys):
    with serving(pages(classic_only=True)) as url:
        assert main(["verify", url]) == 0
    assert "the only one that the program offers" in capsys.readouterr().out


def test_a_page_may_be_compressed(capsys):
    plain = pages()

    def zipped(headers):
        status, said, body = plain(headers)
        return status, {**said, "Content-Encoding": "gzip"}, gzip.compress(body)

    with serving(zipped) as url:
        assert main(["verify", url]) == 0


NO_PAGE = {
    "redirects": (301, {"Location": "/metrics/"}, b""),
    "answers HTTP 404": (404, {}, b"no"),
    "has the type text/html": (200, {"Content-Type": "text/html"}, b"<p>"),
    "has the type (none)": (200, {}, b""),
    "is encoded as br": (200, {"Content-Type": "text/plain", "Content-Encoding": "br"}, b"x"),
    "the content is not gzip": (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"plain text"),
    "llm_requests_total is missing": (200, {"Content-Type": "text/plain"}, b"up 1\n"),
}


@pytest.mark.parametrize("says", NO_PAGE)
def test_what_is_no_page_of_metrics_is_a_finding(says, capsys):
    with serving(lambda _: NO_PAGE[says]) as url:
        assert main(["verify", url]) == 1
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    "url",
    ["localhost:5000", "ftp://x/metrics", "http://", "http://x:y/metrics", "/metrics", "http://a b/", "http://[::"],
)
def test_what_is_no_address_is_a_wrong_call(url, capsys):
    assert main(["verify", url]) == 2
    assert "this is not a URL: give the full URL" in capsys.readouterr().err


def test_a_password_is_not_repeated(capsys):
    assert main(["verify", "http://user:hunter2@127.0.0.1/metrics"]) == 2
    error = capsys.readouterr().err
    assert "give one without" in error
    assert "hunter2" not in error


def test_nobody_there_is_one_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main(["verify", f"http://127.0.0.1:{port}/metrics"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "does not answer" in said.err


def test_something_that_is_not_http_is_one_sentence(capsys):
    server = socket.create_server(("127.0.0.1", 0))

    def babble():
        # up to the close below
        with suppress(OSError):
            while True:
                with server.accept()[0] as client:
                    client.recv(1000)
                    client.sendall(b"220 mail ready\r\n")

    thread = Thread(target=babble, daemon=True)
    thread.start()
    assert main(["verify", f"http://127.0.0.1:{server.getsockname()[1]}/metrics"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    server.close()


def test_the_demo_passes_while_its_traffic_goes_on(capsys, tmp_path):
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}/metrics"
    with running([sys.executable, "-m", "llmmetrics", "demo", "--port", str(port)], log):
        until(lambda: get(url), "the demo")
        assert main(["verify", url]) == 0, (capsys.readouterr(), log.read_text("utf8"))


def test_a_meter_without_a_call_passes():
    meter = Meter.from_settings({}, registry=CollectorRegistry())
    server, thread = meter.start_http_server(0)
    try:
        assert main(["verify", f"http://127.0.0.1:{server.server_port}/metrics"]) == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
