"""A module of formats is imported when it is needed, and what a host or a path means does not depend on the order."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from llmmetrics import wire
from llmmetrics.wire import hosts
from llmmetrics.wire.hosts import Origin, add_hosts, known_provider
from llmmetrics.wire.table import FormatTable

NAMES = sorted({host for each in wire.FORMATS for host, _ in each.hosts if isinstance(host, str)})
OTHERS = [
    *("us-south.ml.cloud.ibm.com", "bedrock-runtime.eu-west-1.amazonaws.com", "claude.googleapis.com"),
    *("europe-west1-aiplatform.googleapis.com", "aiplatform.us.rep.googleapis.com", "mine.openai.azure.com"),
    *("storage.googleapis.com", "googleapis.com", "s3.amazonaws.com", "azure.com", "example.com", "localhost", ""),
]


def fresh(code, *args):
    """What a new process prints, as JSON."""
    run = subprocess.run([sys.executable, "-c", code, *args], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def origin(host):
    name, _, port = host.partition(":")
    return Origin("https", name, int(port) if port else None)


PROVIDERS = """
import json, sys
from llmmetrics import wire
from llmmetrics.wire import hosts
from llmmetrics.wire.hosts import Origin, add_hosts, known_provider

def provider(host):
    name, _, port = host.partition(":")
    return wire.provider_of(Origin("https", name, int(port) if port else None))

print(json.dumps([provider(each) for each in json.loads(sys.argv[1])]))
"""


def test_a_host_s_provider_is_the_same_whatever_was_asked_before():
    hosts = [*NAMES, *OTHERS]
    assert fresh(PROVIDERS, json.dumps(hosts)) == [wire.provider_of(origin(each)) for each in hosts]


CLAIMED = """
import json, sys
from llmmetrics import wire

claim = wire.claim("POST", *json.loads(sys.argv[1]), wire.ANY)
modules = {each.rpartition(".")[2] for each in sys.modules if each.startswith("llmmetrics.wire.")}
print(json.dumps([claim and claim.format.id, sorted(modules & {*wire.FORMATS.modules})]))
"""


@pytest.mark.parametrize(
    ("path", "format"),
    [("/ml/v1/text/embeddings", "watsonx.embed"), ("/publishers/anthropic/models/m:rawPredict", "vertex.anthropic")],
)
def test_a_path_that_is_like_openai_s_has_its_own_format(path, format):
    assert wire.claim("POST", "example.com", path).format.id == format
    assert fresh(CLAIMED, json.dumps(["example.com", path]))[0] == format


def test_a_call_in_openai_s_format_imports_no_other():
    assert fresh(CLAIMED, '["api.openai.com", "/v1/chat/completions"]') == ["openai.chat", ["openai"]]


def test_a_path_of_nobody_is_looked_for_in_all():
    assert fresh(CLAIMED, '["api.example.com", "/none"]') == [None, sorted(wire.FORMATS.modules)]


def test_a_module_that_cannot_be_imported_is_tried_again():
    table = FormatTable("openai", "no_such_module")
    assert table.more()
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            table.more()
    assert next(iter(table)).id == "openai.chat"


def test_a_registered_format_keeps_its_host():
    table = FormatTable("cohere")
    mine = wire.FORMATS[0]._replace(id="cohere.chat", hosts=())
    table.register(mine)
    assert [each for each in table if each.id == "cohere.chat"] == [mine]
    assert len(table) == len([*table]) == len(table[:])


class ImportsAtASearch:
    """A pattern at whose search another thread adds the hosts of a module."""

    def search(self, _host):
        add_hosts(((re.compile(r"^late\.example$"), "late"),), replace=False)


def test_formats_that_another_thread_imports_during_a_look(monkeypatch):
    monkeypatch.setattr(hosts, "_PATTERNS", {ImportsAtASearch(): "x", re.compile("^never$"): "y"})
    assert known_provider(Origin("https", "some.example", None)) is None
    assert known_provider(Origin("https", "late.example", None)) == "late"


def test_the_rest_that_another_thread_imports_after_a_look(monkeypatch):
    monkeypatch.setattr(hosts, "_NAMES", {})
    monkeypatch.setattr(hosts, "_PATTERNS", {})

    def more():
        add_hosts((("late.example", "late"),), replace=False)
        return False

    monkeypatch.setattr(wire.FORMATS, "more", more)
    assert wire.provider_of(Origin("https", "late.example", None)) == "late"
