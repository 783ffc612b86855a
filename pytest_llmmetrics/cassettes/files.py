"""Reads and writes cassette files: vcrpy's format, with three additions that vcrpy ignores.

The key `fault` of an interaction is an exception that the client gets. `metadata` says where the cassette is from and
how its requests are matched. `sockets` are WebSockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from pytest_llmmetrics.cassettes.sockets import form
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange

MATCHES = ("body", "api", "provider")
WHENS = ("headers", "body")
RAISES = (
    *("ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"),
    *("ConnectError", "ReadError", "WriteError", "RemoteProtocolError"),
)
"""The exceptions that a cassette may name: those of a real transport, in httpx and httpx2."""


class CassetteError(Exception):
    """An unusable cassette or marker. The message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Breakdown:
    """An exception that the client gets, instead of the headers or after the recorded part of the body."""

    raises: str
    says: str = ""
    when: str = "headers"


@dataclass(frozen=True)
class Interaction:
    """A request and its answer, as vcrpy writes them."""

    request: Mapping[str, Any]
    response: Mapping[str, Any]
    fault: Breakdown | None = None


@dataclass(frozen=True)
class Cassette:
    """The content of one file."""

    name: str
    interactions: tuple[Interaction, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sockets: tuple[SocketExchange, ...] = ()

    @property
    def match(self) -> str:
        """How much of a request must be as recorded: `body` is all of it, `api` and `provider` are less."""
        return str(self.metadata.get("match", "body"))

    @property
    def opaque(self) -> tuple[str, ...]:
        """The names whose random values are no secret."""
        listed = self.metadata.get("opaque")
        return tuple(str(each) for each in listed) if isinstance(listed, list) else ()

    @property
    def repeat(self) -> bool:
        """Whether the last answer is replayed any number of times."""
        return self.metadata.get("repeat") is True


def read(path: Path, name: str) -> Cassette:
    """Read a cassette from a file. Raises `CassetteError`."""
    try:
        text = path.read_text("utf8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CassetteError(f"cassette {name}: {path.name} cannot be read: {exc}") from None
    return parse(text, name)


def parse(text: str, name: str) -> Cassette:
    """Parse the text of a cassette. Raises `CassetteError`."""
    if not text.strip():
        raise CassetteError(f"cassette {name} is empty: delete it and record it again with --llm-record=once")
    try:
        doc = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (ValueError, LookupError, ArithmeticError, AttributeError, RecursionError):
        # a mistake that YAML itself does not see
        raise CassetteError(
            f"cassette {name} has a date, a number or a nesting that cannot be read: correct it, or record it again"
        ) from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise CassetteError(f"cassette {name} is not YAML, or ends too early{where}: record it again") from None
    # the version is the last line of a complete file
    if not isinstance(doc, dict) or doc.get("version") != 1:
        raise CassetteError(
            f"cassette {name} is incomplete, or not a cassette: it does not end with `version: 1`. Record it again"
        )
    rows, metadata, sockets = doc.get("interactions"), doc.get("metadata") or {}, doc.get("sockets") or []
    if (
        not isinstance(rows, list)
        or not isinstance(sockets, list)
        or not isinstance(metadata, dict)
        or not rows + sockets
    ):
        raise CassetteError(f"cassette {name} has no interactions: delete it and record it again")
    _one_of(name, "metadata.match", metadata.get("match", "body"), MATCHES)
    return Cassette(
        name,
        tuple(_interaction(row, f"{name}: interactions[{n}]") for n, row in enumerate(rows)),
        metadata,
        tuple(_socket(row, f"{name}: sockets[{n}]") for n, row in enumerate(sockets)),
    )


def _socket(row: Any, where: str) -> SocketExchange:
    try:
        return form.parsed(row)
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise CassetteError(f"cassette {where} is no WebSocket: {exc!r} is missing or wrong. Record it again") from None


def _check_status(code: Any) -> None:
    # three digits (https://www.rfc-editor.org/rfc/rfc9110#section-15)
    if not 100 <= int(code) <= 999:
        raise ValueError(f"the status code {code}")


def _interaction(row: Any, where: str) -> Interaction:
    try:
        request, response, fault = row["request"], row["response"], row.get("fault")
        for side, keys in ((request, ("method", "uri", "headers")), (response, ("status", "headers", "body"))):
            for key in keys:
                side[key]
        _check_status(response["status"]["code"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise CassetteError(
            f"cassette {where} is not an interaction of vcrpy: {exc!r} is missing or wrong. Record it again"
        ) from None
    return Interaction(request, response, None if fault is None else _breakdown(fault, where))


def _breakdown(fault: Any, where: str) -> Breakdown:
    try:
        breakdown = Breakdown(**fault)
    except TypeError:
        raise CassetteError(
            f"cassette {where}.fault has an unknown key: its keys are `raises`, `says` and `when`"
        ) from None
    _one_of(where, "fault.raises", breakdown.raises, RAISES)
    _one_of(where, "fault.when", breakdown.when, WHENS)
    return breakdown


def _one_of(where: str, what: str, value: Any, known: Sequence[str]) -> None:
    if value in known:
        return
    near = get_close_matches(str(value), known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise CassetteError(f"cassette {where}: {what} cannot be {value!r}: {hint}")


_Dumper: Any = type("_Dumper", (yaml.SafeDumper,), {})
"""Writes texts of several lines as YAML blocks, line by line."""


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(
    interactions: Sequence[Interaction], metadata: Mapping[str, Any], sockets: Sequence[SocketExchange] = ()
) -> str:
    """Return the text of a cassette: deterministic, with sorted keys and no wrapped lines."""
    doc: dict[str, Any] = {"interactions": [_row(each) for each in interactions], "metadata": dict(metadata)}
    if sockets:
        doc["sockets"] = list(map(form.row_of, sockets))
    doc["version"] = 1
    return str(yaml.dump(doc, Dumper=_Dumper, allow_unicode=True, width=10**9))


def _row(each: Interaction) -> dict[str, Any]:
    row: dict[str, Any] = {"request": dict(each.request), "response": dict(each.response)}
    if each.fault:
        row["fault"] = {"raises": each.fault.raises, "says": each.fault.says, "when": each.fault.when}
    return row


def write(path: Path, text: str) -> None:
    """Write the file atomically."""
    data = text.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            undo.callback(Path(file.name).unlink, missing_ok=True)
            file.write(data)
        Path(file.name).chmod(0o644)
        os.replace(file.name, path)  # noqa: PTH105 - atomic on every system
