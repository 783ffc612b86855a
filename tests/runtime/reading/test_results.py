"""The lines of results and of uploads, however the bytes are cut: the same lines, and never more than one is held."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc

import pytest

from llmmetrics import wire
from llmmetrics.reading.results import LineBuffer, ResultReader, results_of
from llmmetrics.reading.uploads import UploadReader

BATCH = next(each for each in wire.FORMATS if each.id == "openai.batches").batch


def line(n, *, used=True):
    usage = {"usage": {"prompt_tokens": n, "completion_tokens": 1, "total_tokens": n + 1}} if used else {}
    body = {"object": "chat.completion", "model": "m", **usage}
    return json.dumps({"custom_id": f"r{n}", "response": {"status_code": 200, "body": body}, "error": None}) + "\n"


LINES = [line(n) for n in range(1, 31)]
FILE = "".join(LINES).encode()


def read(chunks, headers=None, *, whole=True):
    reader = ResultReader(BATCH.result)
    buffer = LineBuffer(reader.lines)
    buffer.headers = headers or {}
    for chunk in chunks:
        buffer.feed(chunk)
    return results_of(reader, buffer, whole=whole)


def prompts(results):
    return [reading.usage.prompt for _, reading in results.readings]


def cut(data, seed):
    rng, at = random.Random(seed), 0
    while at < len(data):
        end = at + rng.randint(1, 200)
        yield data[at:end]
        at = end


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_every_line_counts_once_however_it_is_cut(seed, encoding):
    data = gzip.compress(FILE) if encoding else FILE
    found = read(cut(data, seed), {"content-encoding": encoding} if encoding else {})
    assert prompts(found) == list(range(1, 31))
    assert (found.start, found.end, found.complete) == (0, len(FILE), True)


def test_the_last_line_may_lack_its_end():
    found = read([FILE[:-1]])
    assert (len(found.readings), found.complete) == (30, True)


def test_a_file_that_is_cut_off_gives_the_lines_before():
    found = read([FILE[: len(FILE) // 2]], whole=False)
    assert prompts(found) == list(range(1, 16))
    assert found.end == len("".join(LINES[:15]))
    assert not found.complete


def test_a_file_that_ends_inside_a_line_is_not_complete():
    found = read([FILE[:-10]])
    assert (len(found.readings), found.complete) == (29, False)


def test_a_request_that_failed_uses_nothing():
    failed = json.dumps({"custom_id": "x", "response": None, "error": {"code": "batch_expired"}}) + "\n"
    found = read([(line(1) + failed + line(3)).encode()])
    assert (prompts(found), found.complete) == ([1, 3], True)


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" * 100, b'{"a": 1}\n', b"text,score\n1,2\n", b"[1]", b"\n".join([b"{}"] * 3)]
)
def test_another_file_gives_nothing(data):
    found = read([data])
    assert (found.readings, found.complete) == ([], False)


def test_pieces_by_range():
    third = len("".join(LINES[:10]))
    first = read([FILE[: third + 7]], {"content-range": f"bytes 0-{third + 6}/{len(FILE)}"})
    assert (len(first.readings), first.end, first.complete) == (10, third, False)
    # it begins inside the eleventh line
    second = read([FILE[third + 7 :]], {"content-range": f"bytes {third + 7}-{len(FILE) - 1}/{len(FILE)}"})
    assert (prompts(second), second.end, second.complete) == (list(range(12, 31)), len(FILE), True)
    assert second.start == third + len(LINES[10])
    # it begins with a line
    third_piece = read([FILE[third:]], {"content-range": f"bytes {third}-{len(FILE) - 1}/{len(FILE)}"})
    assert (third_piece.start, len(third_piece.readings)) == (third, 20)


# uploads

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
    + b"".join(b'{"n": %d}\n' % n for n in range(50))
    + b"\r\n--b--\r\n"
)


@pytest.mark.parametrize("seed", range(5))
def test_the_lines_of_an_upload(seed):
    found = []
    reader = UploadReader("multipart/form-data; boundary=b", lambda doc: found.append(doc["n"]) is None)
    for chunk in cut(FORM, seed):
        reader.feed(chunk)
    assert found == list(range(50))
    assert not reader.lines.broken


def test_an_upload_that_is_no_form_is_not_read():
    reader = UploadReader("application/json", lambda _: True)
    reader.feed(FORM)
    assert reader.lines.broken


def test_a_file_that_comes_as_one_piece_is_not_copied():
    seen = []
    reader = UploadReader("multipart/form-data; boundary=b", lambda row: seen.append(row["n"]) or True)
    form = FORM.replace(b'{"n": 0}\n', b'{"n": 0, "text": "%s"}\n' % (b"x" * 1000) * 20_000)
    tracemalloc.start()
    reader.feed(form)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == [0] * 20_000 + list(range(1, 50))
    assert peak < len(form) / 10


def test_an_upload_holds_a_line_at_most():
    reader = UploadReader("multipart/form-data; boundary=b", lambda _: True)
    reader.feed(FORM[: FORM.index(b'{"n": 0}')])
    for _ in range(2000):
        reader.feed(b'{"body": "%s"}\n' % (b"x" * 1000))
    assert len(reader.lines._part) + len(reader._held) < 2100
