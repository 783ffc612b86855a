"""Measures what `--llm-metrics` and `--llm-gate` add to a suite: the same tests with and without, a process each.

One suite has 2,000 tests, of which 500 make a client of the openai SDK and a call that vcrpy replays; the other has
the 1,500 that make none. What counts is processor time, from pytest's start to its end: on one core nothing here waits;
and the most memory that the process holds. The two runs of a pair follow each other, in changing order, and each pair
has a share of its own: so other load on the machine, which slows both, counts less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

FILES, EACH = 20, 100

CASSETTE = """version: 1
interactions:
- request:
    method: POST
    uri: https://api.openai.com/v1/chat/completions
    body: '%s'
    headers: {Content-Type: [application/json]}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [application/json]}
    body: {string: '%s'}
"""

ASKED = {"messages": [{"role": "user", "content": "Say hi."}], "model": "gpt-4o-mini"}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 8, "total_tokens": 128},
}

HEAD = """
import pytest, vcr
from openai import OpenAI

@pytest.fixture
def number():
    return 2

@pytest.fixture(scope="SCOPE")
def shared():
    with OpenAI(api_key="not-a-key") as made:
        yield made

@pytest.fixture
def client(shared):
    with vcr.use_cassette("answer.yaml", record_mode="none"):
        yield shared

def ask(client):
    client.chat.completions.create(messages=[{"role": "user", "content": "Say hi."}], model="gpt-4o-mini")
"""


def as_sent(value: dict[str, object]) -> str:
    # without spaces, as an SDK sends it
    return json.dumps(value, separators=(",", ":"))


def make(root: Path, *, calls: bool, scope: str) -> None:
    (root / "answer.yaml").write_text(CASSETTE % (as_sent(ASKED), as_sent(ANSWER)), "utf8")
    for file in range(FILES):
        tests = [HEAD.replace("SCOPE", scope)]
        for n in range(EACH):
            asks = n % 4 == 0
            if calls or not asks:
                said = "(client):\n    ask(client)\n" if asks else f"(number):\n    assert number + {n} == {n + 2}\n"
                tests.append(f"def test_{n}{said}")
        (root / f"test_{file}.py").write_text("\n".join(tests), "utf8")


class Used(NamedTuple):
    """What a process used."""

    seconds: float
    megabytes: float


def run(root: Path, *arguments: str) -> Used:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments]
    # as on a user's machine: with compiled modules
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, env=environ)  # noqa: S603
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Used(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def compare(
    name: str,
    rounds: int,
    *,
    calls: bool = True,
    scope: str = "function",
    extra: tuple[str, ...] = ("--llm-metrics",),
    before: tuple[str, ...] = (),
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make(root, calls=calls, scope=scope)
        # the first run compiles the modules
        run(root, *before)
        plain, added, memory = [], [], []
        for turn in range(rounds):
            order = ((), extra) if turn % 2 else (extra, ())
            taken = {arguments: run(root, *arguments) for arguments in order}
            plain.append(taken[()].seconds)
            added.append(taken[extra].seconds - taken[()].seconds)
            memory.append(taken[extra].megabytes - taken[()].megabytes)
        base, middle = statistics.median(plain), statistics.median(added)
        quartiles = statistics.quantiles((more / seconds for more, seconds in zip(added, plain, strict=True)), n=4)
        shares = " ".join(f"{each:+.1%}" for each in quartiles)
        print(f"{name:44} {base:8.2f} s {middle:+8.3f} s {statistics.median(memory):+6.1f} MB   {shares}", flush=True)


ROWS: dict[str, dict[str, Any]] = {
    "2,000 tests, 500 with a replayed call": {},
    "the same, and judged": {"extra": ("--llm-gate",), "before": ("--llm-baseline=create",)},
    "noise: the same twice": {"extra": ("-p", "no:doctest")},
    "the same, with one client for all": {"scope": "session"},
    "1,500 tests without a call": {"calls": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name has this text")
    arguments = parser.parse_args()
    print(f"{'a suite':44} {'without':>10} {'added':>10} {'memory':>9}   quartiles")
    for name, options in ROWS.items():
        if arguments.only in name:
            compare(name, arguments.rounds, **options)


if __name__ == "__main__":
    main()
