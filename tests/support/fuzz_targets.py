"""What `make fuzz` feeds: one function a reader of foreign bytes, and the bytes that it starts from."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from hypothesis import strategies as st

from llmmetrics import ConfigError
from llmmetrics.cli.rules import files as rule_files
from llmmetrics.cli.rules.checking import Checker
from llmmetrics.cli.rules.queries import UnreadableError
from llmmetrics.reading import outcome
from llmmetrics.reading.exchange import see
from llmmetrics.settings.loading import load
from llmmetrics.wire.framing.body_buffer import BodyBuffer, keep
from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import DocumentError, parsed
from pytest_llmmetrics.bill.judging.limits import LimitError
from pytest_llmmetrics.bill.rendering import html, markdown
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.cassettes import files as cassette_files
from pytest_llmmetrics.cassettes import scrub, secrets
from support.documentation import ROOT
from support.meter_setup import Setup
from support.strategies import FORMATS, WORDS

CORPUS = ROOT / "tests/fuzz_corpus"
"""A directory a target: what was found once, and stays fixed."""

PLACES = (
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/responses",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    "https://api.cohere.com/v2/chat",
    "http://localhost:11434/api/chat",
)
KINDS = (
    "application/json",
    "text/event-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
)
TOKENS = [
    *(word.encode() for word in WORDS),
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b"data: ", b"\n\n", b"\r\n", b"null", b"-1", b"1e999", b"\xff", b"\x00"),
    *(b"9" * 5000, b"[" * 2000, b'{"a":' * 2000, b"--b\r\n", b"\xe2\x80\xa8", b"%25", b"=", b"&", b"eyJ"),
]


class Target(NamedTuple):
    """A reader: `check` raises for what it may not do with the bytes; `seeds` are valid inputs."""

    seeds: Callable[[], Sequence[bytes]]
    check: Callable[[bytes], None]


@cache
def cassettes() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "cassettes").rglob("*.yaml"))]


@cache
def exchanges() -> list[bytes]:
    """Return the bodies of the shipped cassettes."""
    every = [each for text in cassettes() for each in yaml.safe_load(text)["interactions"]]
    texts = [each["response"]["body"]["string"] or "" for each in every] + [
        each["request"]["body"] or "" for each in every
    ]
    return sorted({text.encode() if isinstance(text, str) else text for text in texts})


def documents(*patterns: str) -> Callable[[], list[bytes]]:
    return cache(lambda: [path.read_bytes() for each in patterns for path in sorted(ROOT.glob(each))])


def read_answer(data: bytes) -> None:
    format = list(FORMATS.values())[zlib.crc32(data) % len(FORMATS)]
    see(format, keep(data))
    for end in outcome.End:
        buffer = BodyBuffer()
        buffer.feed(data)
        seen = outcome.outcome_of(format, 200, buffer, data, end, None)
        assert seen.usage is None or all(count >= 0 for count in seen.usage.buckets.values())


@cache
def metered() -> Setup:
    return Setup()


def live(data: bytes) -> None:
    """Send the bytes and receive them: they pass unchanged, and no error happens inside."""
    setup = metered()
    setup.body, setup.status = data, (200, 400, 500)[zlib.crc32(data) % 3]
    url = PLACES[zlib.crc32(data) % len(PLACES)]
    for sent in (b'{"model": "gpt-4o-mini", "stream": true}', data):
        assert setup.client.post(url, content=sent).content == data
    # a caller that reads nothing
    setup.client.send(setup.client.build_request("POST", url, content=b"{}"), stream=True).close()
    assert setup.value("llmmetrics_internal_errors_total") == 0


def scrubbed(data: bytes) -> None:
    for kind in KINDS:
        once = scrub.request_body(data, kind)
        if isinstance(once, str):
            again = scrub.request_body(once.encode(), scrub.boundary_to_keep(kind))
            assert (again or "") == once, (kind, once, again)
        secrets.scan({"body": scrub.response_body(data, kind)}, "")
    scrub.url(f"https://h.example/{data.decode('latin1')}")


def cassette(data: bytes) -> None:
    try:
        read = cassette_files.parse(data.decode("utf8", "replace"), "x")
    except cassette_files.CassetteError:
        return
    cassette_files.dump(read.interactions, read.metadata)


def report(data: bytes) -> None:
    text = data.decode("utf8", "replace")
    for kind in (Report, Baseline):
        try:
            document = parsed(kind, text, "x")
        except DocumentError:
            continue
        assert document.text()
        if isinstance(document, Report):
            # a limit that cannot be read is refused with a sentence, when the report is judged
            with suppress(LimitError):
                assert "<script src" not in html.page(document)
                markdown.comment(document)


def in_a_file(data: bytes, ending: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"x{ending}"
        path.write_bytes(data)
        yield path


def settings(data: bytes) -> None:
    for path in in_a_file(data, ".json"):
        try:
            load(path, {})
        except ConfigError:
            return


def rules(data: bytes) -> None:
    for ending in (".json", ".yml"):
        for path in in_a_file(data, ending):
            try:
                document = rule_files.read(str(path))
            except UnreadableError:
                continue
            checker = Checker(document.queries, document.targets)
            for each in document.queries:
                checker.check(each)


def reports() -> list[bytes]:
    from support.reports import rich

    return [rich().text().encode(), *documents("llm-costs.json")()]


def settings_seeds() -> list[bytes]:
    one = {"Backends": [{"Name": "a", "Type": "OpenAI", "MaxSpendUsd": "1.5", "ResetPeriod": "Daily", "Tags": ["x"]}]}
    return [*documents("docs/examples/*.json")(), json.dumps({"LlmSettings": one}).encode()]


TARGETS = {
    "readers": Target(exchanges, read_answer),
    "live": Target(exchanges, live),
    "scrubbing": Target(exchanges, scrubbed),
    "cassettes": Target(cassettes, cassette),
    "reports": Target(reports, report),
    "settings": Target(settings_seeds, settings),
    "rules": Target(documents("dashboards/prometheus/*.yml", "dashboards/grafana/*.json"), rules),
}


def found_before(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*.bin"))]


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Return valid inputs of a target with a few edits: cuts, repeats, flipped bytes, inserted words, splices."""
    bases = st.sampled_from([*TARGETS[name].seeds(), *found_before(name), b""])
    edit = st.tuples(
        st.sampled_from(["cut", "repeat", "flip", "insert", "splice"]),
        st.floats(0, 1),
        st.integers(1, 64),
        st.sampled_from(TOKENS),
    )
    return st.builds(_edited, bases, st.lists(edit, max_size=8), bases)


def _edited(base: bytes, edits: Sequence[tuple[str, float, int, bytes]], other: bytes) -> bytes:
    for what, where, size, word in edits:
        at = int(where * len(base))
        head, tail = base[:at], base[at:]
        base = {
            "cut": head + tail[size:],
            "repeat": head + tail[:size] * (1 + size % 9) + tail,
            "flip": head + bytes(byte ^ (1 << size % 8) for byte in tail[:1]) + tail[1:],
            "insert": head + word + tail,
            "splice": head + other[int(where * len(other)) :],
        }[what]
    return base
