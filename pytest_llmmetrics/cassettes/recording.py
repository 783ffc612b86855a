"""Makes the text of a cassette from vcrpy's recording: scrubs it, and refuses it if a secret is left. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.files import Cassette, CassetteError, Interaction, dump
from pytest_llmmetrics.cassettes.secrets import SuspectedSecret, scan
from pytest_llmmetrics.cassettes.sockets.comparing import secrets_in
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange

_SHOWN = 5


def interactions(
    requests: Sequence[Any], responses: Sequence[Mapping[str, Any]], opaque: Collection[str] = ()
) -> list[Interaction]:
    """Make interactions of vcrpy's requests, which are scrubbed already, and its responses, which are scrubbed here."""
    return [_interaction(request, response, opaque) for request, response in zip(requests, responses, strict=True)]


def answered_credentials(responses: Sequence[Mapping[str, Any]], opaque: Collection[str]) -> dict[str, str]:
    """Return the values of dropped headers of answers, each with what it was."""
    return dict(pair for each in responses for pair in scrub.credentials("", each["headers"], opaque))


def _interaction(request: Any, response: Mapping[str, Any], opaque: Collection[str]) -> Interaction:
    body = request.body
    sent = {
        "method": request.method,
        "uri": request.uri,
        "headers": {name: [value] for name, value in sorted(request.headers.items())},
        "body": scrub.text(body) if isinstance(body, bytes) else body,
    }
    status, raw = response["status"], response["body"]["string"]
    body = _decoded(raw, response["headers"], str(request.uri))
    kind = _header(response["headers"], "content-type")
    answered = {
        "status": {"code": status["code"], "message": status.get("message") or ""},
        "headers": scrub.response_headers(response["headers"]),
        "body": {"string": scrub.response_body(body, kind, opaque)},
    }
    return Interaction(sent, answered)


def _decoded(raw: bytes, headers: Mapping[str, Any], where: str) -> bytes:
    """Return a body without its content encoding; the header is dropped too."""
    value = _header(headers, "content-encoding")
    if not value:
        return raw
    library = _library()
    try:
        decoded: bytes = library.Response(200, headers={"content-encoding": value}, content=raw).content
    except Exception as exc:
        raise CassetteError(f"{where} answered in the encoding {value}, which cannot be decoded: {exc}") from None
    return decoded


def _header(headers: Mapping[str, Any], wanted: str) -> str:
    """Return the value of a header, or an empty text."""
    value = next((value for name, value in headers.items() if name.lower() == wanted), "")
    return ", ".join(value) if isinstance(value, list) else str(value)


def _library() -> Any:
    try:
        return import_module("httpx2")
    except ImportError:
        return import_module("httpx")


def text_of(
    name: str,
    kept: Sequence[Interaction],
    metadata: Mapping[str, Any],
    sockets: Sequence[SocketExchange] = (),
    *,
    credentials: Mapping[str, str] | None = None,
    opaque: Collection[str] = (),
    today: date,
) -> str:
    """Return the cassette's text. Raises `CassetteError` if it contains something like a secret."""
    addresses = [*(str(each.request["uri"]) for each in kept), *(each.uri for each in sockets)]
    hosts = sorted({f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, addresses)})
    header: dict[str, Any] = {"match": "body", **metadata, "date": today.isoformat(), "source": ", ".join(hosts)}
    spared = {*opaque, *header.get("opaque", ())}
    if spared:
        header["opaque"] = sorted(spared)
    text = dump(kept, header, sockets)
    if secrets := [*secrets_in(sockets, credentials, spared), *scan(_document(kept), text, credentials, spared)]:
        raise CassetteError(f"cassette {name} was not written: {advice(secrets)}")
    return text


def _document(kept: Sequence[Interaction]) -> Mapping[str, Any]:
    return {"interactions": [{"request": each.request, "response": each.response} for each in kept]}


def findings(cassette: Cassette, text: str, opaque: Collection[str]) -> list[SuspectedSecret]:
    """Find what looks like a secret in an existing cassette."""
    return [
        *secrets_in(cassette.sockets, None, opaque),
        *scan(_document(cassette.interactions), text, None, opaque),
    ]


def advice(secrets: Sequence[SuspectedSecret]) -> str:
    """Say where the secrets are, and what to do."""
    return "; ".join(_shown(secrets)) + (
        ". Remove it from the request and the answer. If the value of a JSON key or of a header is no secret, name the "
        'key or the header on the marker: opaque=["name"]'
    )


def _shown(secrets: Sequence[SuspectedSecret]) -> Iterator[str]:
    yield from map(str, secrets[:_SHOWN])
    if len(secrets) > _SHOWN:
        yield f"and {len(secrets) - _SHOWN} more"
