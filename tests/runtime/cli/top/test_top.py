"""`llmmetrics top`, as a person runs it: in a real terminal, of real processes, and where there is nothing to see."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from support.metrics_pages import KINDS, serving
from support.servers import free_port, get, running, until

from llmmetrics.cli.main import main
from llmmetrics.cli.top.keys import keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its terminal is POSIX's")
GOLDEN = Path(__file__).parents[2] / "golden"
CLASSIC = (GOLDEN / "metrics.txt").read_text("utf8")
TOP = [sys.executable, "-m", "llmmetrics", "top"]
DEMO = [sys.executable, "-m", "llmmetrics", "demo"]


def test_its_screen_is_the_golden_one_at_every_size():
    """Of a real metered process, whose traffic and times are fixed: `stage` says how."""
    from support.top_scene import SIZES, played

    for (columns, _), (text, _) in zip(SIZES, played(), strict=True):
        golden = GOLDEN / f"top.{columns}.txt"
        if os.environ.get("UPDATE_DOCS"):
            golden.write_text(text, "utf8")
        assert text == golden.read_text("utf8"), "set UPDATE_DOCS=1 to write it again"


SPENT = (
    r"✗ openai-capped .*\n(.*\n)*.* 102% .* refused \d",
    r"1 unhealthy  last (\d min )?\d+ s",
    r"● local-ollama +\d+ +\d",
)


def shows(screen, *patterns):
    """Whether all of them are on the screen at once: it may be looked at while it is drawn."""
    text = screen.text
    return all(re.search(each, text) for each in patterns)


def test_it_goes_on_when_the_process_goes_and_comes_back(tmp_path):
    from support.terminal import terminal

    url = f"http://127.0.0.1:{(port := free_port())}/metrics"
    demo = [*DEMO, "--port", str(port)]
    with ExitStack() as stack:
        with running(demo, tmp_path / "first"):
            until(lambda: "llm_requests_total" in get(url), "the demo")
            screen = stack.enter_context(terminal([*TOP, url, "--interval", "0.1"]))
            until(lambda: shows(screen, *SPENT), "a spent budget")
            screen.resize(140, 24)
            until(lambda: re.search(r"errors by type\n(.*\n)*.* rate_limit \d", screen.text), "the broad screen")
        gone = f"{url} does not answer; these figures are"
        until(lambda: shows(screen, re.escape(gone), "openai-capped"), "word of it")
        with running(demo, tmp_path / "second"):
            until(lambda: gone not in screen.text and "openai-capped" in screen.text, "the demo again")
            assert not re.search(r" -\d", screen.text)
        screen.press("q")
        assert screen.end() == 0
        assert screen.wrote.endswith(b"\x1b[?25h\x1b[?1049l")


ENDINGS = {
    "q": lambda screen: screen.press("q"),
    "Q": lambda screen: screen.press("Q"),
    "Ctrl-C": lambda screen: screen.press("\x03"),
    "Ctrl-D": lambda screen: screen.press("\x04"),
    "SIGTERM": lambda screen: screen.process.terminate(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_ends_it_the_terminal_is_as_before(ending):
    import termios

    from support.terminal import terminal

    with serving(page(CLASSIC)) as url, terminal([*TOP, url]) as screen:
        until(lambda: "q quits" in screen.text, "the screen")
        assert termios.tcgetattr(screen.theirs) != screen.before
        screen.press("?")
        ENDINGS[ending](screen)
        assert screen.process.wait(60) == 0
        assert termios.tcgetattr(screen.theirs) == screen.before
        screen.end()
    assert screen.wrote.endswith(b"\x1b[?1049l")
    assert b"Traceback" not in screen.wrote


def test_a_terminal_shows_what_follows_a_torn_sequence():
    from support.terminal import terminal

    program = "import sys, time\nfor each in ('\\x1b[?1;2m', 'still here', '\\x1b[H\\x1b[?2;3r'):\n"
    program += "    print(each, flush=True)\n    time.sleep(0.2)"
    with terminal([sys.executable, "-c", program]) as screen:
        assert screen.end() == 0
    assert "still here" in screen.text


def test_a_key_that_ctrl_c_discards_is_not_waited_for(monkeypatch):
    import termios

    ours, theirs = os.openpty()
    stdin, wait = os.fdopen(theirs), select.select
    monkeypatch.setattr(sys, "stdin", stdin)

    def discarding(*arguments):
        found = wait(*arguments)
        termios.tcflush(theirs, termios.TCIFLUSH)
        return found

    with keys() as pressed:
        os.write(ours, b"x?")
        assert pressed(60) == "x"
        assert pressed(60) == "?"
        os.write(ours, b"?")
        monkeypatch.setattr(select, "select", discarding)
        assert pressed(60) == ""
    stdin.close()
    os.close(ours)


def test_a_second_ctrl_c_does_not_wait_for_a_page_that_does_not_come():
    from support.terminal import terminal

    asked, answer = [], Event()

    def slow(_):
        asked.append(1)
        if len(asked) > 1:
            answer.wait(60)
        return page(CLASSIC)(_)

    with serving(slow) as url, terminal([*TOP, url, "--interval", "0.1"]) as screen:
        until(lambda: len(asked) > 1, "the second scrape")
        screen.press("\x03")
        with pytest.raises(subprocess.TimeoutExpired):
            screen.process.wait(1)
        screen.press("\x03")
        assert screen.process.wait(60) == 0
        answer.set()
        screen.end()
    assert b"Traceback" not in screen.wrote


def page(text, kind=KINDS[False]):
    return lambda _: (200, {"Content-Type": kind}, text.encode())


@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "1"}])
def test_what_is_no_terminal_gets_one_table(environ):
    with serving(page(CLASSIC)) as url:
        environ = {**os.environ, "COLUMNS": "80", **environ}
        done = subprocess.run([*TOP, url], capture_output=True, text=True, env=environ, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "\x1b" not in plain
    assert re.search(r"^● openai-primary +\d", plain, re.MULTILINE)
    assert "since its start" in plain
    assert "q quits" not in plain


def test_once_on_a_terminal_is_one_table():
    from support.terminal import terminal

    with serving(page(CLASSIC)) as url, terminal([*TOP, url, "--once"]) as screen:
        assert screen.end() == 0
    assert b"?1049h" not in screen.wrote
    assert "● openai-primary" in screen.text


def test_openmetrics_will_do(capsys):
    text = (GOLDEN / "metrics.openmetrics.txt").read_text("utf8")
    with serving(page(text, KINDS[True])) as url:
        assert main(["top", url, "--once"]) == 0
    assert "openai-primary" in capsys.readouterr().out


NOTHING_TO_SHOW = {
    "has no llm_ metrics: give the address of a program that llmmetrics meters": page("# TYPE up gauge\nup 1\n"),
    "has the type text/html": page("<p>", "text/html"),
    "answers HTTP 404": lambda _: (404, {}, b"no"),
}


@pytest.mark.parametrize("says", NOTHING_TO_SHOW)
def test_a_page_of_another_program_is_one_sentence(says, capsys):
    with serving(NOTHING_TO_SHOW[says]) as url:
        assert main(["top", f"{url}?token=secret"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert "secret" not in said.err
    assert said.err.count("\n") == 1


def test_nobody_there_is_one_sentence(capsys):
    assert main(["top", f"http://127.0.0.1:{free_port()}/metrics"]) == 2
    assert "start the application, or correct the address" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost:5000", "127.0.0.1:5000/metrics", "ftp://x/metrics", "metrics"])
def test_what_is_no_address_is_a_wrong_call(url, capsys):
    assert main(["top", url]) == 2
    assert "give the full URL, as in http://127.0.0.1:5000/metrics" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_an_interval_that_is_none(seconds, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["top", "--interval", seconds])
    assert caught.value.code == 2
    assert f"'{seconds}' is not an interval: give seconds from 0.1 to 3600" in capsys.readouterr().err


def test_without_rich_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    for name in ("command", "board"):
        monkeypatch.delitem(sys.modules, f"llmmetrics.cli.top.{name}", raising=False)
    monkeypatch.delattr("llmmetrics.cli.top.command", raising=False)
    assert main(["top"]) == 1
    assert capsys.readouterr().err == "llmmetrics: rich.console is not installed: pip install 'llmmetrics[cli]'\n"
