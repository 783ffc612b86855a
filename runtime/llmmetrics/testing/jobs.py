"""The simulated provider's answers that come later: background answers, runs, batches and their files.

`reply` stays a pure function, and a provider that runs has `Jobs`. An answer is queued when it is asked for, and done
when it is fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any, NamedTuple

from llmmetrics import wire
from llmmetrics.reading.uploads import UploadReader
from llmmetrics.testing.messages.model import Reply, Request
from llmmetrics.testing.shapes import batches
from llmmetrics.testing.shapes.base import CREATED, Doc
from llmmetrics.wire import FetchClaim

Answering = Callable[[Request], Reply]
"""Answers one request of a batch."""

_JSON = (("content-type", "application/json"),)
_LINES = (("content-type", "application/octet-stream"),)
_IDS = {"openai.responses": b"resp_1", "gemini.interactions": b"v1_1", "openai.runs": b"run_1"}
"""The ids that the shapes give: each job gets one of its own."""

_FILES = re.compile(r"/files/?$")
_SEQUENCE = re.compile(rb'"sequence_number": (\d+)')
_AFTER = re.compile(r"(?:^|&)starting_after=(\d+)")


class Job(NamedTuple):
    """An answer that was asked for."""

    done: Doc
    chunks: tuple[bytes, ...] = ()
    """The events of its stream."""


class Jobs:
    """What one simulated provider was asked for in the background."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers = count(1)
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, Sequence[Doc]] = {}

    def fetch(self, request: Request) -> Reply | None:
        """Return an answer, its cancellation, or a file; None for another request."""
        claimed = wire.fetch(request.method, request.host.partition(":")[0], request.path, wire.ANY)
        if claimed is None:
            return None
        with self._lock:
            if claimed.results:
                return self._file(claimed)
            job = self._jobs.get(claimed.id)
            if job is None:
                return None
            if request.method == "POST":
                job = self._jobs[claimed.id] = Job(_cancelled(job.done))
            if job.chunks and "stream=true" in request.query:
                return _resumed(job, request.query)
            return _json(job.done)

    def _file(self, claimed: FetchClaim) -> Reply | None:
        lines = self._files.get(claimed.id)
        if lines is None:
            return None
        body = "".join(json.dumps(line) + "\n" for line in lines)
        return Reply(200, _LINES, (body.encode(),))

    def defer(self, request: Request, reply: Reply, answering: Answering) -> Reply:
        """Return what a request gets at first; what it gets later is kept. `reply` is the whole answer."""
        if reply.status != 200:
            return self._upload(request) if request.method == "POST" and _FILES.search(request.path) else reply
        format = request.claim.format.id if request.claim else ""
        if format in _IDS and (request.json.get("background") is True or format == "openai.runs"):
            return self._background(_IDS[format], request, reply)
        if format in batches.DONE:
            return self._batch(format, request, json.loads(reply.chunks[0]), answering)
        return reply

    def _background(self, old: bytes, request: Request, reply: Reply) -> Reply:
        with self._lock:
            id = f"{old.decode().rpartition('_')[0]}_{next(self._numbers)}"
            background = b', "background": true' if old == b"resp_1" else b""
            own = b'"id": "%s"%s' % (id.encode(), background)
            chunks = tuple(chunk.replace(b'"id": "%s"' % old, own) for chunk in reply.chunks)
            if request.stream:
                done = next(each for each in map(_response, reversed(chunks)) if each)
                self._jobs[id] = Job(done, chunks)
                return replace(reply, chunks=chunks)
            done = json.loads(chunks[0])
            self._jobs[id] = Job(done)
            status = "in_progress" if old == b"v1_1" else "queued"
            queued = {**done, "status": status, "usage": None}
            return _json({name: [] if name in ("output", "steps") else value for name, value in queued.items()})

    def _batch(self, format: str, request: Request, doc: Doc, answering: Answering) -> Reply:
        kind, claimed = batches.DONE[format], request.claim
        batch = claimed.format.batch if claimed else None
        assert batch is not None
        with self._lock:
            inputs = [line for file in batch.inputs(request.json) for line in self._files.get(file, ())]
            model = claimed.model if claimed else None
            requests = [*batch.requests(request.json, model), *(batch.request(line, model) for line in inputs)]
            names = batches.names_of(request.json, inputs)
            number = next(self._numbers)
        results = []
        for name, each in zip(names, filter(None, requests), strict=False):
            reply = answering(Request("POST", each.path, body=json.dumps(each.body).encode(), host=request.host))
            results.append(kind.line(name, reply.status, json.loads(reply.chunks[0])))
        created = kind.numbered(doc, number, len(results))
        with self._lock:
            id, file = kind.ids(created)
            self._files[file] = results
            self._jobs[id] = Job(kind.done(created, results))
        return _json(created)

    def _upload(self, request: Request) -> Reply:
        lines: list[Doc] = []

        def take(line: Mapping[str, Any]) -> bool:
            lines.append(dict(line))
            return True

        UploadReader(request.headers.get("content-type", ""), take).feed(request.body)
        with self._lock:
            id = f"file-{next(self._numbers)}"
            self._files[id] = lines
        file = {"id": id, "object": "file", "bytes": len(request.body), "created_at": CREATED}
        mistral = {"sample_type": "batch_request", "source": "upload", "signature": None}
        return _json({**file, **mistral, "filename": "batch.jsonl", "purpose": "batch", "status": "processed"})


def _json(doc: Doc) -> Reply:
    return Reply(200, _JSON, (json.dumps(doc).encode(),))


def _response(chunk: bytes) -> Doc | None:
    """Return the answer that an event of a stream holds."""
    data = chunk.partition(b"data: ")[2].strip()
    fields: Any = json.loads(data) if data.startswith(b"{") else {}
    if fields.get("object") == "thread.run":
        return dict(fields)
    answer = fields.get("response") or fields.get("interaction")
    return answer if isinstance(answer, dict) else None


def _resumed(job: Job, query: str) -> Reply:
    """Return the events after the one that the client has seen."""
    match = _AFTER.search(query)
    after = int(match[1]) if match else -1
    numbers = [(_SEQUENCE.search(chunk), chunk) for chunk in job.chunks]
    left = tuple(chunk for number, chunk in numbers if number is None or int(number[1]) > after)
    return Reply(200, (("content-type", "text/event-stream"),), left, stream=True)


def _cancelled(done: Mapping[str, Any]) -> Doc:
    """Return an answer or a batch that was cancelled before it was done."""
    if "processing_status" in done:
        counts = {**done["request_counts"], "succeeded": 0, "canceled": sum(done["request_counts"].values())}
        return {**done, "processing_status": "ended", "request_counts": counts}
    if "metadata" in done and "state" in (done.get("metadata") or {}):
        return {
            **done,
            "metadata": {**done["metadata"], "state": "BATCH_STATE_CANCELLED", "output": {}},
            "response": {},
        }
    changed = {**done, "status": "cancelled", "usage": None}
    if "request_counts" in done:
        changed |= {"output_file_id": None, "request_counts": {**done["request_counts"], "completed": 0}}
    if "succeeded_requests" in done:
        changed |= {"status": "CANCELLED", "output_file": None, "succeeded_requests": 0}
    return changed
