"""Three meters on one ledger poll, list and read one file at once, in pieces, cut off and whole: it counts once."""

from __future__ import annotations

import random
from contextlib import suppress
from threading import Thread

import httpx
import pytest
from support import SOAK
from support.batch_setup import DONE, OUT, Setup, asked

FILE = "GET /v1/files/file-out/content"
WAYS = ("poll", "list", "cut", "cut", "piece", "whole")


class Cut(httpx.SyncByteStream):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        for start in range(0, len(self.data), 500):
            yield self.data[start : start + 500]
        raise httpx.ReadError("cut")


def fetch(setup, way, rng):
    first, last = sorted(rng.sample(range(len(OUT)), 2))
    headers = {"content-range": f"bytes {first}-{last}/{len(OUT)}"}
    if way == "poll":
        setup.poll()
    elif way == "list":
        setup.client.get("https://api.openai.com/v1/batches")
    else:
        setup.answers[FILE] = {
            "cut": lambda: httpx.Response(200, stream=Cut(OUT[:last])),
            "piece": lambda: httpx.Response(206, content=OUT[first : last + 1], headers=headers),
            "whole": lambda: OUT,
        }[way]()
        with suppress(httpx.ReadError):
            setup.read()


@pytest.mark.parametrize("seed", range(100 if SOAK else 5))
def test_no_booking_is_lost_and_nothing_stays_pending(tmp_path, seed):
    rng = random.Random(seed)
    setups = [Setup(tmp_path) for _ in range(3)]
    for each in setups:
        each.answers["GET /v1/batches"] = {"data": [DONE]}
    setups[0].upload(map(asked, range(10)))
    setups[0].create()

    def work(setup, seed):
        mine = random.Random(seed)
        for way in mine.choices(WAYS, k=4):
            fetch(setup, way, mine)

    threads = [Thread(target=work, args=(each, rng.random())) for each in setups]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for way in ("poll", "whole", "poll"):
        fetch(setups[1], way, rng)
    assert sum(each.state[1] for each in setups) == 1100
    assert (setups[1].spent, setups[1].state[2]) == (0.01, 0)
    assert sum(each.value("llmmetrics_internal_errors_total") for each in setups) == 0
    for each in setups:
        each.meter.close()
