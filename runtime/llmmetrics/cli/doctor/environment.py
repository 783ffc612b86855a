"""The doctor's check of the environment: the SDKs and their HTTP libraries, worker processes, encodings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import NamedTuple

from llmmetrics.cli.output.findings import Finding, error, ok, shown, warning
from llmmetrics.system.processes import VARIABLE, alive, files, left_over, unusable
from llmmetrics.wire.framing.encodings import DECODERS, UnknownEncodingError

METERED = ("httpx2", "httpx", "aiohttp", "botocore", "requests")

FAMILIES = {
    "httpx2": "httpx2",
    "httpx": "httpx",
    "grpcio": "gRPC",
    "google-api-core": "gRPC",
    "aiohttp": "aiohttp",
    "botocore": "botocore",
    "requests": "requests",
}
"""A requirement, and the HTTP library that it implies. An SDK with several of them sends through the first."""


class Sdk(NamedTuple):
    """A distribution that makes LLM calls."""

    distribution: str
    instead: str = "call the provider through an SDK that uses one of " + ", ".join(METERED)
    """What to do where it is not metered."""
    own: str | None = None
    """The first version that sends through sockets of its own."""
    switch: str = ""
    """What changes the library that it sends through; it is metered either way."""


GEMINI = "use google-genai"

SDKS = (
    Sdk("openai", switch="http_client=openai.DefaultAioHttpClient() sends through aiohttp below httpx"),
    Sdk("anthropic", switch="http_client=anthropic.DefaultAioHttpClient() sends through aiohttp below httpx"),
    Sdk("mistralai"),
    Sdk("google-genai"),
    Sdk("groq"),
    Sdk("cohere"),
    Sdk("ollama"),
    Sdk("together"),
    Sdk(
        "litellm",
        switch="async calls go through httpx above aiohttp; litellm.disable_aiohttp_transport = True ends that",
    ),
    Sdk("dspy", own="3.4", instead='dspy.LM(MODEL, engine="litellm")'),
    Sdk("fireworks-ai"),
    Sdk("huggingface_hub"),
    Sdk("cerebras-cloud-sdk"),
    Sdk("boto3"),
    Sdk("aiobotocore"),
    Sdk("aioboto3"),
    Sdk("google-generativeai", instead=GEMINI),
    Sdk("google-cloud-aiplatform", instead=GEMINI),
    Sdk("voyageai"),
    Sdk("xai-sdk", instead="use the openai SDK with the base URL https://api.x.ai/v1"),
    Sdk("curl_cffi", own="0", instead="call the provider through httpx: llmmetrics cannot even see these connections"),
)


def sdks() -> Iterator[Finding]:
    """Check every LLM SDK of this Python: whether its calls are metered."""
    findings = [finding for sdk in SDKS if (finding := _sdk(sdk))]
    yield from findings
    if not findings:
        yield warning(
            "no LLM SDK that llmmetrics knows is installed",
            "if your application uses one, run the doctor with your application's Python",
        )
    if _version("google-genai") and _version("aiohttp"):
        family = _family(metadata.requires("google-genai") or [])
        yield ok(
            "google-genai sends its async calls through aiohttp if that is installed: metered too",
            f"genai.Client(http_options={{'httpx_async_client': {family}.AsyncClient()}}) sends them through {family}",
        )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _sdk(sdk: Sdk) -> Finding | None:
    version = _version(sdk.distribution)
    if version is None:
        return None
    name = f"{sdk.distribution} {version}"
    if sdk.own and _numbers(version) >= _numbers(sdk.own):
        return warning(f"{name} connects by itself, through no HTTP library of Python: not metered", sdk.instead)
    requirements = metadata.requires(sdk.distribution) or []
    family = _family(requirements)
    if family is None and any(_name(each) in _OTHERS for each in requirements):
        return ok(f"{name} goes through another SDK", "see the line of that SDK")
    if family in METERED:
        how = "metered by llmmetrics.instrument(meter) or meter.wrap(client)"
        return ok(f"{name} goes through {family}", f"{how}; {sdk.switch}" if sdk.switch else how)
    return warning(f"{name} goes through {family or 'an unknown HTTP library'}: not metered", sdk.instead)


_OTHERS = frozenset(each.distribution for each in SDKS)


def _family(requirements: list[str]) -> str | None:
    names = {_name(each) for each in requirements if "extra" not in each.partition(";")[2]}
    return next((family for name, family in FAMILIES.items() if name in names), None)


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _numbers(version: str) -> tuple[int, ...]:
    """Split `1.20.3rc1` into 1, 20, 3: enough to compare with a release."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", version)[0])))  # type: ignore[index]


MANY = 100
"""From this number of dead processes on, their files slow each scrape: about a millisecond each."""


def processes(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Check whether several worker processes share their numbers."""
    directory = environ.get(VARIABLE)
    if directory is None:
        workers = environ.get("WEB_CONCURRENCY", "1")
        remedy = f"set {VARIABLE} to an empty directory before the server starts"
        if workers.isdigit() and int(workers) > 1:
            yield warning(
                f"WEB_CONCURRENCY={workers}, and {VARIABLE} is not set: each scrape reads one random worker", remedy
            )
        else:
            yield ok(f"{VARIABLE} is not set, which is right for one process", f"for several workers, {remedy}")
        return
    if fault := unusable(directory):
        what, _, do = fault.partition(": ")
        yield error(f"{VARIABLE}={shown(directory)} {what}", do)
        return
    owners = {owner for _, owner in files(directory)}
    living = sum(map(alive, owners))
    dead = len(owners) - living
    if left_over(directory):
        yield warning(
            f"{VARIABLE} holds the numbers of ended processes, and new counts add to them",
            "empty it before the server starts, so that counters start at 0",
        )
    elif dead > MANY:
        yield warning(
            f"{VARIABLE} holds the files of {dead} ended workers: they slow every scrape",
            "serve meter.asgi_app() or meter.wsgi_app() in a worker that may write there: its scrapes merge them",
        )
    else:
        yield ok(f"{VARIABLE} is usable, with the numbers of {living} running processes and {dead} ended ones")


def encodings() -> Iterator[Finding]:
    """Check which compressed answers can be read. httpx asks only for encodings that are installed."""
    for name in ("br", "zstd"):
        try:
            DECODERS[name]()
        except UnknownEncodingError:
            yield ok(
                f"answers in {name} cannot be read, and httpx does not ask for them",
                f"if your code sets Accept-Encoding: {name} itself, pip install 'llmmetrics[{name}]'",
            )
        else:
            yield ok(f"answers in {name} can be read")
