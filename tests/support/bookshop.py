"""A user's repository: a small app on the openai SDK, tests that replay cassettes, a committed baseline.

`Bookshop` makes it, records its cassettes with vcrpy against the simulated provider on loopback, and makes branches.
"""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# sessions in this process import them once: PyYAML's extension module cannot be imported again
import openai  # noqa: F401
import pytest
import vcr  # noqa: F401

from llmmetrics.testing import FAULTS, Answer, Reply, Request, reply, serve

RULES = "\n".join(
    f"{n}. {rule}"
    for n, rule in enumerate(
        [
            "Answer in the language of the question, in at most three sentences, and never invent a title.",
            "Books that are not on the shelf can be ordered and arrive within two working days, except on holidays.",
            "Used books are sold as they are; a description of their state is on the first page, in pencil.",
            "A voucher may be spent on books, cards and coffee, and has no last day.",
            "Customers who ask for a person get the telephone number of the shop and its opening hours.",
            "Readings are on Thursdays at seven; seats are free, and need no booking unless the author is known.",
        ]
        * 8,
        1,
    )
)

FILES = {
    "shop/__init__.py": "",
    "shop/rules.md": RULES,
    "shop/assistant.py": '''
        """The bookshop's assistant."""

        from pathlib import Path

        from openai import OpenAI

        RULES = (Path(__file__).parent / "rules.md").read_text()
        MODEL = "gpt-4o-mini"
        SUMMARY = "Summarise this review in one sentence that fits on a card in the window."


        def client(base_url: str) -> OpenAI:
            return OpenAI(api_key="not-a-key", base_url=base_url, max_retries=0)


        def answer(client: OpenAI, customer: str, question: str) -> str:
            """The rules stand first, so that the provider's prompt cache has them."""
            messages = [
                {"role": "system", "content": RULES},
                {"role": "user", "content": f"{customer} asks: {question}"},
            ]
            reply = client.chat.completions.create(model=MODEL, messages=messages)
            return reply.choices[0].message.content


        def summarise(client: OpenAI, review: str) -> str:
            messages = [{"role": "system", "content": SUMMARY}, {"role": "user", "content": review}]
            reply = client.chat.completions.create(model=MODEL, messages=messages)
            return reply.choices[0].message.content
    ''',
    "settings.json": json.dumps(
        {
            "LlmSettings": {
                "Backends": [
                    {
                        "Name": "openai",
                        "Type": "OpenAI",
                        "ModelName": "gpt-4o-mini",
                        "ApiKey": "not-a-key",
                        "CostPerMillionInputTokens": 0.15,
                        "CostPerMillionCachedInputTokens": 0.075,
                        "CostPerMillionOutputTokens": 0.60,
                    }
                ]
            }
        },
        indent=2,
    ),
    "tests/conftest.py": """
        import os
        from pathlib import Path

        import pytest
        import vcr
        from prometheus_client import CollectorRegistry

        from llmmetrics import Meter
        from shop import assistant

        HERE = Path(__file__).parent


        @pytest.fixture
        def client(request):
            base_url = os.environ.get("SHOP_URL", "https://api.openai.com/v1")
            meter = Meter.from_settings(HERE.parent / "settings.json", registry=CollectorRegistry())
            recorder = vcr.VCR(
                record_mode=os.environ.get("SHOP_RECORD", "none"), filter_headers=["authorization", "user-agent"]
            )
            with recorder.use_cassette(str(HERE / "cassettes" / f"{request.node.name}.yaml")):
                with assistant.client(base_url) as made:
                    yield meter.wrap(made)
    """,
    "tests/test_assistant.py": """
        from shop import assistant


        def test_answers(client):
            assert assistant.answer(client, "Ada", "Is there a reading this week?")
            assert assistant.answer(client, "Bert", "How long does an order take?")


        def test_summary(client):
            assert assistant.summarise(client, "I read it in one night, and the night was too short.")


        def test_prices_are_shown():
            assert assistant.MODEL
    """,
    "pyproject.toml": """
        [tool.pytest]
        testpaths = ["tests"]
        pythonpath = ["."]
    """,
    ".gitignore": "__pycache__/\n.pytest_cache/\n",
}

CACHED_FROM = 1024
"""The shortest prefix, in tokens, that OpenAI's cache keeps."""


def _shared(one: str, other: str) -> int:
    """Return the length of the common prefix of two texts."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Till:
    """A provider that counts tokens by the length of the request, and has a prompt cache."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.refusals = refusals
        self.cached: list[str] = []

    def answer(self, request: Request) -> Reply:
        if self.refusals:
            self.refusals -= 1
            return reply(request, replace(FAULTS["rate_limit"], retry_after="0.01"))
        text = "\n".join(message["content"] for message in request.json["messages"])
        shared = max((_shared(text, each) for each in self.cached), default=0) // 4
        hit = shared // 128 * 128 if shared >= CACHED_FROM else 0
        self.cached.append(text)
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": 9, "cache_read": hit}
        return reply(request, Answer("Yes, on Thursday at seven.", **usage))


class Bookshop:
    """The repository, in a directory; `run` runs pytest there, and returns its exit code and its output."""

    def __init__(self, root: Path, run: Callable[..., tuple[int, str]]) -> None:
        self.root = root
        self.pytest = run

    def create(self) -> None:
        for name, text in FILES.items():
            self.write(name, textwrap.dedent(text).lstrip("\n"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "A Bookseller")
        self.git("config", "user.email", "bookseller@example.org")
        self.record()
        self.commit("The shop")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf8")

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text("utf8")
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def branch(self, name: str, edit: Callable[[Bookshop], None]) -> None:
        self.git("switch", "--quiet", "--create", name, "main")
        edit(self)
        self.commit(name)

    def record(self, *, limited: bool = False) -> None:
        """Record every cassette again; `limited`: the provider refuses the first request."""
        for path in (self.root / "tests/cassettes").glob("*.yaml"):
            path.unlink()
        with serve(answering=Till(refusals=int(limited)).answer) as provider, pytest.MonkeyPatch.context() as patch:
            patch.setenv("SHOP_URL", f"{provider.url}/v1")
            patch.setenv("SHOP_RECORD", "all")
            code, output = self.pytest()
        assert code == 0, output
        for path in (self.root / "tests/cassettes").glob("*.yaml"):
            text = path.read_text("utf8").replace(provider.url, "https://api.openai.com")
            path.write_text(text.replace(provider.url.partition("//")[2], "api.openai.com"), "utf8")
