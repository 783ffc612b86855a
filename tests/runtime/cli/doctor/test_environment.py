"""`llmmetrics doctor` on SDKs, encodings and worker processes: every finding is provoked for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.findings import about, only

from llmmetrics.cli.doctor import environment
from llmmetrics.cli.output.findings import Level
from llmmetrics.system.processes import VARIABLE
from llmmetrics.wire.framing import encodings

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a distribution before all others."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, version, *requires):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires)]) + "\n")

    return install


@pytest.mark.parametrize(
    ("name", "version", "requires", "level", "says"),
    [
        ("openai", "3.54.0", ["httpx2<3,>=2.12.0", "aiohttp>=3; extra == 'aiohttp'"], OK, "goes through httpx2"),
        ("openai", "1.3.0", ["httpx<1,>=0.23.0"], OK, "goes through httpx -- metered by"),
        ("openai", "0.28.1", ["requests>=2.20", "aiohttp"], OK, "goes through aiohttp -- metered by"),
        ("litellm", "1.110", ["httpx[http2]>=0.28", "aiohttp>=3"], OK, "litellm.disable_aiohttp_transport = True"),
        ("dspy", "3.4.1", ["openai", "requests"], WARNING, 'not metered -- dspy.LM(MODEL, engine="litellm")'),
        ("dspy", "2.6", ["litellm"], OK, "goes through another SDK"),
        ("fireworks-ai", "1.2", ["aiohttp", "httpx-aiohttp", "httpx<1"], OK, "goes through httpx"),
        ("curl_cffi", "0.14", [], WARNING, "cannot even see these connections"),
        ("aioboto3", "15", ["aiobotocore[boto3]==3"], OK, "goes through another SDK"),
        ("cohere", "7.3.1", ["httpx (>=0.25.0)", "requests (>=2.0.0,<3.0.0)"], OK, "goes through httpx"),
        ("huggingface_hub", "0.36.0", ["requests"], OK, "goes through requests"),
        ("boto3", "1.44.5", ["botocore (<1.45.0,>=1.44.5)"], OK, "goes through botocore -- metered by"),
        ("aiobotocore", "3.1", ["aiohttp>=3.12", "botocore>=1.41"], OK, "goes through aiohttp -- metered by"),
        ("google-generativeai", "0.8.5", ["google-api-core"], WARNING, "through gRPC: not metered -- use google-genai"),
        ("xai-sdk", "1.3", ["grpcio<2", "requests"], WARNING, "goes through gRPC: not metered"),
        ("voyageai", "0.5.0", ["aiohttp", "requests"], OK, "goes through aiohttp"),
        ("litellm", "1.99", [], WARNING, "goes through an unknown HTTP library: not metered"),
    ],
)
def test_an_sdk_is_metered_or_not(installed, name, version, requires, level, says):
    installed(name, version, *requires)
    finding = about(environment.sdks(), f"{name} {version} ")
    assert finding.level is level
    assert says in str(finding)


def test_aiohttp_takes_the_async_calls_of_google_genai(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    installed("google-genai", "3.4.0", "httpx2<3.0.0,>=2.0.0", "requests<3")
    assert "aiohttp" not in str(only(environment.sdks()))
    installed("aiohttp", "3.14")
    finding = about(environment.sdks(), "async calls through aiohttp")
    assert finding.level is OK
    assert "http_options={'httpx_async_client': httpx2.AsyncClient()}" in finding.do


def test_aiohttp_alone_is_no_news(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    installed("aiohttp", "3.14")
    assert only(environment.sdks()).what.startswith("no LLM SDK")


def test_no_sdk_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    finding = only(environment.sdks())
    assert (finding.level, finding.do) == (
        WARNING,
        "if your application uses one, run the doctor with your application's Python",
    )


@pytest.mark.parametrize(("name", "modules"), [("br", ["brotli"]), ("zstd", ["zstandard"])])
def test_an_encoding_that_cannot_be_read(monkeypatch, name, modules):
    for module in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(encodings, "_first_of", encodings._first_of.__wrapped__)
    finding = about(environment.encodings(), f"answers in {name}")
    assert finding.level is OK
    assert f"pip install 'llmmetrics[{name}]'" in finding.do


def test_encodings_that_can_be_read():
    pytest.importorskip("brotli")
    pytest.importorskip("zstandard")
    assert [each.what for each in environment.encodings()] == [
        "answers in br can be read",
        "answers in zstd can be read",
    ]


# several processes


def processes(**environ):
    return only(environment.processes(environ))


def gone() -> int:
    """The id of a process that was."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_one_process():
    finding = processes()
    assert finding.level is OK
    assert "for several workers, set PROMETHEUS_MULTIPROC_DIR" in finding.do
    assert processes(WEB_CONCURRENCY="1").level is OK


def test_several_workers_without_a_directory():
    assert processes(WEB_CONCURRENCY="4").level is WARNING


def test_a_directory_that_is_missing(tmp_path):
    finding = processes(**{VARIABLE: str(tmp_path / "no")})
    assert finding.level is ERROR
    assert finding.what.endswith("does not exist")
    assert finding.do == "create it, empty, before the server starts"


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").touch()
    finding = processes(**{VARIABLE: str(tmp_path / "file")})
    assert (finding.level, finding.do) == (ERROR, "set it to a directory")


def test_a_directory_that_cannot_be_written_to(tmp_path):
    # /proc is one for root too
    directory = Path("/proc")
    if not directory.is_dir():
        if not hasattr(os, "geteuid") or os.geteuid() == 0:
            pytest.skip("permissions do not bind here, and there is no /proc")
        directory = tmp_path / "closed"
        directory.mkdir(mode=0o500)
    finding = processes(**{VARIABLE: str(directory)})
    assert finding.level is ERROR
    assert "is not writable" in finding.what


def test_an_empty_directory(tmp_path):
    assert processes(**{VARIABLE: str(tmp_path)}).level is OK


@pytest.mark.skipif(os.name == "nt", reason="the system does not say which processes there are")
def test_files_of_a_run_before(tmp_path):
    (tmp_path / f"counter_{gone()}.db").touch()
    finding = processes(**{VARIABLE: str(tmp_path)})
    assert finding.level is WARNING
    assert "of ended processes" in finding.what
    assert finding.do.startswith("empty it before the server starts")
    # a worker that lives: this is the present run, and the dead are its own
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    finding = processes(**{VARIABLE: str(tmp_path)})
    assert finding.level is OK
    assert "1 running processes and 1 ended ones" in finding.what


@pytest.mark.skipif(os.name == "nt", reason="the system does not say which processes there are")
def test_very_many_dead_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "MANY", 1)
    for owner in (gone(), gone(), os.getpid()):
        (tmp_path / f"counter_{owner}.db").touch()
    assert "2 ended workers" in processes(**{VARIABLE: str(tmp_path)}).what
