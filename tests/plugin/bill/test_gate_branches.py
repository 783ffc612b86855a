"""The gate on a real repository: six branches of a shop, each with its cause, and the comments in docs/."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from support import pictures
from support.bookshop import Bookshop

pytest_plugins = ["pytester"]

DOC = Path(__file__).resolve().parents[3] / "docs/gate-comments.md"
ANSWERS, SUMMARY = "tests/test_assistant.py::test_answers", "tests/test_assistant.py::test_summary"
APP = "shop/assistant.py"


def refactor(shop: Bookshop) -> None:
    shop.change(
        APP, "def answer(client: OpenAI, customer: str, question: str)", "def answer(client, customer, question)"
    )
    shop.change(APP, "messages = [{", "messages = [{  # the instructions first\n            ")


def longer_prompt(shop: Bookshop) -> None:
    again = "Do not name the author, keep every number as it is, never use an exclamation mark, and leave out what happens in the finale."
    shop.change(APP, "on a card in the window.", f"on a card in the window. {again}")
    shop.record()


def extra_retry(shop: Bookshop) -> None:
    shop.change(APP, "max_retries=0", "max_retries=2")
    shop.record(limited=True)


def dearer_model(shop: Bookshop) -> None:
    shop.change(APP, 'MODEL = "gpt-4o-mini"', 'MODEL = "gpt-4o"')
    shop.record()


def cache_lost(shop: Bookshop) -> None:
    shop.change(APP, '"content": RULES}', '"content": f"You speak with {customer}.\\n{RULES}"}')
    shop.record()


def vendor_price(shop: Bookshop) -> None:
    shop.change("settings.json", '"CostPerMillionInputTokens": 0.15', '"CostPerMillionInputTokens": 0.45')


class Branch(NamedTuple):
    title: str
    edit: object
    code: int
    test: str
    """The author of the change."""
    cause: str


BRANCHES = {
    "refactor": Branch("A harmless refactor", refactor, 0, "", ""),
    "longer-prompt": Branch(
        "A prompt twice as long", longer_prompt, 10, SUMMARY, "prompt tokens per call 31 → 62 (+100%)"
    ),
    "extra-retry": Branch("An extra retry", extra_retry, 10, ANSWERS, "attempts per call 1.00 → 1.50 (rate_limit +1)"),
    "dearer-model": Branch(
        "A dearer model", dearer_model, 10, ANSWERS, "model asked gpt-4o-mini → gpt-4o: \N{MULTIPLICATION SIGN}16.7"
    ),
    "cache-lost": Branch("The prompt cache lost", cache_lost, 10, ANSWERS, "prompt cache reads 49% → 0% of the prompt"),
    "vendor-price": Branch("A vendor's price change", vendor_price, 0, "", ""),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture
def shop(root, session, monkeypatch) -> Bookshop:
    def run(*arguments):
        done = session("-q", *arguments)
        return int(done.ret), done.stdout.str()

    monkeypatch.chdir(root)
    shop = Bookshop(root, run)
    if not (root / ".git").exists():
        shop.create()
        code, output = shop.pytest("--llm-baseline=create")
        assert code == 0, output
        shop.commit("What its tests' LLM calls are")
    return shop


def test_six_branches(shop, tmp_path):
    comments = {}
    for name, branch in BRANCHES.items():
        shop.branch(name, branch.edit)
        path = tmp_path / f"{name}.md"
        code, output = shop.pytest("--llm-gate", "--llm-gate-base=main", f"--llm-report={path}")
        assert code == branch.code, f"{name}:\n{output}"
        comments[name] = path.read_text("utf8")
        regressions = re.findall(r"^regression: (\S+): ([^;\n]*)", output, re.MULTILINE)
        if branch.code:
            assert (branch.test, branch.cause) in regressions
            assert branch.cause in comments[name]
            accepts(shop, name, branch)
        else:
            assert regressions == []
            assert "passed: 2 tests judged" in output
        if name in PICTURED:
            assert pictured(PICTURED[name]) <= squeezed(output.splitlines())
    assert "the price of openai gpt-4o-mini has changed" in comments["vendor-price"].replace("\\", "")
    shown = page(comments)
    if os.environ.get("UPDATE_DOCS"):
        DOC.write_text(shown, "utf8")
    assert DOC.read_text("utf8") == shown, "set UPDATE_DOCS=1 to write it again"


PICTURED = {"refactor": "llm-metrics", "dearer-model": "llm-gate"}
"""The pictures of such runs."""


def pictured(name: str) -> set[str]:
    """Return a picture's lines about these tests, and its last line."""
    lines = squeezed(pictures.shown(name))
    found = {line for line in lines if ANSWERS in line or SUMMARY in line or line.startswith(("calls ", "blocked: "))}
    assert len(found) == {"llm-metrics": 3, "llm-gate": 6}[name]
    return found


def squeezed(lines: list[str]) -> set[str]:
    return {" ".join(line.split()) for line in lines}


def accepts(shop: Bookshop, name: str, branch: Branch) -> None:
    """If the branch fixes the baseline, the change is reported with its cause, and passes."""
    assert shop.pytest("--llm-baseline=fix")[0] == 0
    shop.commit("and its baseline")
    assert set(shop.git("diff", "--name-only", "HEAD~").split()) == {"llm-costs.json"}
    code, output = shop.pytest("--llm-gate", "--llm-gate-base=main")
    assert code == 0, f"{name}:\n{output}"
    assert f"accepted: {branch.test}: " in output
    assert branch.cause in output
    if name == "longer-prompt":
        assert shop.pytest("--llm-gate", "--llm-gate-base=main", "--llm-gate-accepted=block")[0] == 10


def test_a_cassette_of_another_request_is_said(shop):
    shop.git("switch", "--quiet", "--detach", "main")
    shop.change(APP, "one sentence", "two sentences")
    code, output = shop.pytest("--llm-gate")
    shop.git("checkout", "--quiet", ".")
    # the request has not grown: it is said, and blocks nothing
    assert code == 0
    assert f"warning: {SUMMARY}: " in output
    assert "1 call (0 before) with an answer that was recorded for another request: record it again" in output


def page(comments: dict[str, str]) -> str:
    head = (
        "# What the gate says\n\n"
        "Six branches of a small repository, and the comment that `pytest --llm-gate --llm-gate-base=main\n"
        "--llm-report=comment.md` writes for each. `tests/plugin/bill/test_gate_branches.py` builds the repository, makes the\n"
        "branches, and checks that this page is what comes out. [costs.md](costs.md) says how it is set up.\n"
    )
    parts = [f"\n# {BRANCHES[name].title}\n\n{text}" for name, text in comments.items()]
    return head + "".join(parts).replace(f"genai-prices {version('genai-prices')}", "genai-prices")
