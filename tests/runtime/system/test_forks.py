"""Forks: of a program with a meter, and of web servers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Thread

import httpx
import pytest
from prometheus_client import generate_latest
from support import alone
from support.servers import free_port, get, running, until

import llmmetrics
from llmmetrics.system import locks

HERE = str(Path(__file__).parents[2] / "support/programs")

SERVERS = {
    "uvicorn": ["-m", "uvicorn", "worker_app:asgi", "--workers", "2", "--app-dir", HERE, "--port"],
    "gunicorn": [
        *("-m", "gunicorn", "worker_app:wsgi", "--workers", "2", "--preload", "--chdir", HERE),
        *("--timeout", "90", "--bind"),
    ],
}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "multiproc").mkdir()
    return tmp_path / "multiproc"


FORK = """
import os, sys
import httpx
from prometheus_client import CollectorRegistry, generate_latest
from llmmetrics import Meter
from llmmetrics.metrics.multiprocess import MultiProcessCollector
body = {"model": "m", "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
class Body(httpx.SyncByteStream):
    def __iter__(self):
        yield b'{"model": "m", "usage": '
        yield b'{"prompt_tokens": 10, "completion_tokens": 5}}'
registry = CollectorRegistry()
settings = {"Backends": [{"Name": "a", "ModelName": "m", "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}]}
meter = Meter.from_settings(settings, registry=registry)
client = httpx.Client(transport=meter.transport(httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))))
def post(): return client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
def show(who):
    for family in registry.collect() if len(sys.argv) < 2 else MultiProcessCollector(None).collect():
        for sample in family.samples:
            if sample.value and sample.name in ("llm_requests_total", "llm_active_requests", "llm_estimated_cost_usd"):
                print(who, sample.name, round(sample.value, 9), flush=True)
post()
request = client.build_request("POST", "https://api.openai.com/v1/chat/completions", json={"model": "m"})
open_answer = client.send(request, stream=True)
children = []
for n in range(3):
    pid = os.fork()
    if not pid:
        # the parent's answer ends here as well: that is the parent's to count
        open_answer.close()
        for _ in range(n + 1):
            post()
        if n == 2:
            show("child")
        os._exit(0)
    os.waitpid(pid, 0)
show("parent, one open")
open_answer.read()
show("parent")
"""


def test_a_meter_made_before_a_fork_meters_exactly(tmp_path, directory, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    said = alone(FORK, "shared")
    # each child is gone, and has left what it counted: 1 + 2 + 3 calls; the parent has made one and then two
    assert said.splitlines() == [
        "child llm_active_requests 1.0",
        "child llm_estimated_cost_usd 0.000105",
        "child llm_requests_total 7.0",
        "parent, one open llm_active_requests 1.0",
        "parent, one open llm_estimated_cost_usd 0.000105",
        "parent, one open llm_requests_total 7.0",
        "parent llm_estimated_cost_usd 0.00012",
        "parent llm_requests_total 8.0",
    ]


def test_without_a_directory_each_process_counts_for_itself(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    said = alone(FORK)
    assert said.splitlines() == [
        # what its parent had counted, and its own three
        "child llm_requests_total 4.0",
        "child llm_estimated_cost_usd 6e-05",
        "parent, one open llm_requests_total 1.0",
        "parent, one open llm_estimated_cost_usd 1.5e-05",
        "parent, one open llm_active_requests 1.0",
        "parent llm_requests_total 2.0",
        "parent llm_estimated_cost_usd 3e-05",
    ]


BUSY = """
import os, re, signal
from threading import Event, Thread
import httpx
from prometheus_client import CollectorRegistry
from llmmetrics import Meter
from llmmetrics.metrics.exposition import page
registry = CollectorRegistry()
backend = {"Name": "a", "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}
meter = Meter.from_settings({"Backends": [backend]}, registry=registry)
body = {"model": "m", "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
# no client: its cookies have a lock of their own, which a fork leaves held
transport = meter.transport(httpx.MockTransport(lambda _: httpx.Response(200, json=body)))
def post(model):
    url = "https://api.openai.com/v1/chat/completions"
    transport.handle_request(httpx.Request("POST", url, json={"model": model}))
done, made = Event(), []
def work(name):
    while not done.is_set():
        post(f"{name}{len(made) % 20}")
        made.append(1)
threads = [Thread(target=work, args=(name,)) for name in "abcd"]
for thread in threads:
    thread.start()
ended = []
for _ in range(30):
    child = os.fork()
    if not child:
        # what hangs is ended, and is seen to have been
        signal.alarm(60)
        for n in range(5):
            post(f"child{n}")
        page(registry, "GET", "", "", "")
        os._exit(0)
    ended.append(os.waitpid(child, 0)[1])
done.set()
for thread in threads:
    thread.join()
text = page(registry, "GET", "", "", "").body.decode()
total = sum(float(n) for n in re.findall(r"^llm_requests_total{.*} (.+)$", text, re.MULTILINE))
active = re.findall(r"^llm_active_requests{.*} (.+)$", text, re.MULTILINE)
print(sum(map(bool, ended)), total - len(made), active)
"""


@pytest.mark.parametrize("mode", ["shared", "each for itself"])
def test_forks_in_the_midst_of_other_threads_calls(mode, directory, monkeypatch):
    if mode == "shared":
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    else:
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    # no child hangs at a lock that a thread of its parent held, and none loses a call or counts one of its parent's
    assert alone(BUSY) == f"0 {150.0 if mode == 'shared' else 0.0} ['0.0']\n"


def test_a_fork_leaves_no_lock_held(meter, registry, provider, counted):
    call = lambda: httpx.post(f"{provider.url}/openai/v1/chat/completions", json={"model": "m-1"})  # noqa: E731
    llmmetrics.instrument(meter)
    try:
        call()
        families = meter.engine.families
        things = [part for each in families._all.values() for part in locks.parts(each) if hasattr(part, "_lock")]
        things += [meter.engine._series, registry, *meter.engine._series.health.values(), *families._tallies.values()]
        assert len(things) > 100
        for each in things:
            # as a thread does that the child has not
            each._lock.acquire()
        meter.engine._forked()
        thread = Thread(target=lambda: (call(), generate_latest(registry)), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    finally:
        llmmetrics.uninstrument()
    assert counted() == {"success": 2}


METER = """
import os, sys, logging
logging.basicConfig(format="%(message)s")
import prometheus_client
exec(sys.argv[1])
from llmmetrics import Meter, ConfigError
try:
    Meter()
except ConfigError as exc:
    print(exc)
"""


def said(code=""):
    """What is printed and logged while a meter is made."""
    return alone(f"import sys; sys.stderr = sys.stdout\n{METER}", code)


PREFORK = """
import os, sys, logging
logging.basicConfig(format="%(message)s", stream=sys.stdout)
import llmmetrics
from prometheus_client import CollectorRegistry, generate_latest
count, scrapes = map(int, sys.argv[1:])
(begin, have_begin), (told, tell), (stay, let_go) = os.pipe(), os.pipe(), os.pipe()
for _ in range(count):
    if not os.fork():
        os.close(let_go)
        # all are there when the first begins, and until the last has begun
        os.read(begin, 1)
        meter = llmmetrics.Meter(registry=(registry := CollectorRegistry()))
        for _ in range(scrapes):
            generate_latest(registry)
        sys.stdout.flush()
        os.write(tell, b"x")
        os.read(stay, 1)
        os._exit(0)
os.write(have_begin, b"x" * count)
for _ in range(count):
    os.read(told, 1)
os.close(let_go)
for _ in range(count):
    os.wait()
"""


@pytest.mark.parametrize(("count", "scrapes", "warned"), [(1, 1, 0), (2, 2, 2), (2, 0, 0)])
def test_workers_whose_meters_are_made_after_their_fork_are_warned_of_where_they_serve(
    count, scrapes, warned, monkeypatch
):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    said = alone(PREFORK, str(count), str(scrapes))
    assert said.count("PROMETHEUS_MULTIPROC_DIR is not set") == warned


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.parametrize("server", SERVERS)
def test_several_workers_without_a_directory_are_warned_of(server, count, tmp_path, provider, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    port, log, warning = free_port(), tmp_path / "log", "PROMETHEUS_MULTIPROC_DIR is not set"
    command = [sys.executable, *SERVERS[server], str(port) if server == "uvicorn" else f"127.0.0.1:{port}"]
    command[command.index("--workers") + 1] = count
    with running(command, log, PROVIDER=provider.url):
        url = f"http://127.0.0.1:{port}"
        until(lambda: get(f"{url}/metrics"), "the server")
        seen: set[str] = set()
        until(lambda: seen.add(get(f"{url}/call").split()[0]) or len(seen) == int(count), "every worker")
        until(lambda: get(f"{url}/metrics") and (count == "1" or warning in log.read_text()), "the warning")
    lines = [line for line in log.read_text().splitlines() if warning in line]
    # each that is scraped says so once
    assert len(lines) in ({1, 2} if count == "2" else {0})
