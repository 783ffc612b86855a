"""A process that draws and transcribes until its budget refuses. `python media_spender.py URL LEDGER SEED`."""

from __future__ import annotations

import random
import sys

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.errors import BudgetExceeded

url, ledger, seed = sys.argv[1:]
rng = random.Random(seed)
prices = {"CostPerMillionInputTokens": 5, "CostPerMillionOutputTokens": 30, "CostPerAudioHour": "0.36"}
backend = {"Name": "b", "Type": "OpenAI", "BaseUrl": url, "MaxSpendUsd": "2", "SpendResetPeriod": "Never", **prices}
meter = Meter.from_settings(
    {"Backends": [backend], "Budget": {"Ledger": ledger, "Mode": "strict", "Namespace": "media"}},
    registry=CollectorRegistry(),
)
client = httpx.Client(transport=meter.transport(family="httpx"), timeout=30)
refused = 0
while refused < 5:
    try:
        if rng.random() < 0.5:
            client.post(f"{url}/images/generations", json={"model": "gpt-image-2", "prompt": "cat", "n": 1})
        else:
            sound = ("a.mp3", bytes(rng.randrange(1000, 100_000)))
            client.post(f"{url}/audio/transcriptions", data={"model": "whisper-1"}, files={"file": sound})
    except BudgetExceeded:
        refused += 1
meter.close()
