"""From what vcrpy has recorded to the text of a cassette: scrubbed, scanned, refused where a secret is left. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.files import CassetteError, Interaction, dump
from pytest_llmmetrics.cassettes.secrets import SuspectedSecret, scan

_SHOWN = 5


def interactions(requests: Sequence[Any], responses: Sequence[Mapping[str, Any]]) -> list[Interaction]:
    """Vcrpy's requests, scrubbed before, and its responses as they will be kept."""
    return [_interaction(request, response) for request, response in zip(requests, responses, strict=True)]


def _interaction(request: Any, response: Mapping[str, Any]) -> Interaction:
    body = request.body
    asked = {
        "method": request.method,
        "uri": request.uri,
        "headers": {name: [value] for name, value in sorted(request.headers.items())},
        "body": scrub.text(body) if isinstance(body, bytes) else body,
    }
    status, raw = response["status"], response["body"]["string"]
    answered = {
        "status": {"code": status["code"], "message": status.get("message") or ""},
        "headers": scrub.response_headers(response["headers"]),
        "body": {"string": scrub.response_body(_decoded(raw, response["headers"], str(request.uri)))},
    }
    return Interaction(asked, answered)


def _decoded(raw: bytes, headers: Mapping[str, Any], where: str) -> bytes:
    """A body without its content encoding; its header is not kept either."""
    encoding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), None)
    if not encoding:
        return raw
    library = _library()
    value = ", ".join(encoding) if isinstance(encoding, list) else str(encoding)
    try:
        read: bytes = library.Response(200, headers={"content-encoding": value}, content=raw).content
    except Exception as exc:
        raise CassetteError(f"{where} answered in an encoding that cannot be read, {value}: {exc}") from None
    return read


def _library() -> Any:
    try:
        return import_module("httpx2")
    except ImportError:
        return import_module("httpx")


def text_of(
    name: str,
    kept: Sequence[Interaction],
    metadata: Mapping[str, Any],
    *,
    credentials: Collection[str] = (),
    opaque: Collection[str] = (),
    today: date,
) -> str:
    """The cassette's text. Raises `CassetteError` for one that something like a secret is left in."""
    hosts = sorted({f"{parts.scheme}://{parts.netloc}" for each in kept for parts in [urlsplit(each.request["uri"])]})
    made: dict[str, Any] = {"match": "body", **metadata, "date": today.isoformat(), "source": ", ".join(hosts)}
    spared = {*opaque, *made.get("opaque", ())}
    if spared:
        made["opaque"] = sorted(spared)
    text = dump(kept, made)
    if found := scan(_document(kept), text, credentials, spared):
        raise CassetteError(f"cassette {name} was not written: {told(found)}")
    return text


def _document(kept: Sequence[Interaction]) -> Mapping[str, Any]:
    return {"interactions": [{"request": each.request, "response": each.response} for each in kept]}


def findings(kept: Sequence[Interaction], text: str, opaque: Collection[str]) -> list[SuspectedSecret]:
    """What looks like a secret in a cassette that is there."""
    return scan(_document(kept), text, (), opaque)


def told(found: Sequence[SuspectedSecret]) -> str:
    """Where the secrets are, and what to do."""
    return "; ".join(_shown(found)) + (
        ". Take it out of what is sent and answered; a JSON key whose values are random and open nothing is named "
        'on the marker: opaque=["key"]'
    )


def _shown(found: Sequence[SuspectedSecret]) -> Iterator[str]:
    yield from map(str, found[:_SHOWN])
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more"
