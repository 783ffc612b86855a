"""The simulated provider as a server: connections, ports, and its end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from llmmetrics.testing import Answer, CannotExpressError, faults, serve

CHAT = "/v1/chat/completions"


def post(url: str, **request: Any) -> httpx.Response:
    # loading the system's certificates takes longer than all the rest
    with httpx.Client(verify=False) as client:
        return client.post(url, **request)


# the server


def test_a_request_may_come_in_chunks(provider):
    with httpx.Client() as client:
        for _ in range(2):
            parts = iter([b'{"model": ', b'"chunked"}'])
            assert client.post(provider.url + CHAT, content=parts).json()["model"] == "chunked"


def test_a_client_that_goes_away_is_no_event(provider, capfd):
    provider.script(Answer(pieces=("x" * 100_000,) * 200), faults.STALL)
    for _ in range(2):
        with httpx.stream("POST", provider.url + CHAT, json={"stream": True}) as answer:
            next(answer.iter_bytes())
    assert post(provider.url + CHAT, json={}).status_code == 200
    provider.close()
    assert capfd.readouterr().err == ""


def test_every_step_is_used_once_by_whoever_comes(provider):
    provider.script(*[faults.NOT_FOUND] * 20)
    statuses = []

    def ask():
        with httpx.Client() as client:
            statuses.extend(client.post(provider.url + CHAT, json={}).status_code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200] * 20 + [404] * 20
    assert len(provider.requests) == 40


def test_a_taken_port_is_named():
    with serve() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"cannot serve on 127.0.0.1:{port}"):
            serve(port=port)


def test_closing_closes_what_nobody_uses_and_may_be_repeated():
    running = serve()
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as idle:
        idle.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(1 << 16)
        running.close()
        running.close()
        while idle.recv(1 << 16):
            continue
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_a_provider_that_nobody_closes_lets_the_program_end():
    code = f"""
import http.client
from llmmetrics.testing import serve
provider = serve()
kept = http.client.HTTPConnection(provider.url.removeprefix("http://"))
kept.request("POST", "{CHAT}", "{{}}")
print(kept.getresponse().status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "200"


def test_what_is_none_of_the_wire_s_cannot_be_served(provider):
    with pytest.raises(CannotExpressError, match="a server cannot show the fault 'dns'"):
        provider.script(faults.DNS)
