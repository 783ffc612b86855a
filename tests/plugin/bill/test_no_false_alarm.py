"""What changes no call passes, in a git repository: renamed, moved, new and deleted tests, branches, merges, prices."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import read

pytest_plugins = ["pytester"]

APP = """
import json
import httpx

RULES = "Answer in one short sentence. Promise nothing. " * 200

def reply(request):
    usage = {"prompt_tokens": len(str(json.loads(request.content)["messages"])) // 4, "completion_tokens": 9}
    return httpx.Response(200, json={"model": "gpt-4o-mini", "choices": [], "usage": usage})

client = httpx.Client(transport=httpx.MockTransport(reply))

def ask(question):
    body = {"model": "gpt-4o-mini", "max_tokens": 300, "messages": [
        {"role": "system", "content": RULES}, {"role": "user", "content": question}]}
    client.post("https://api.openai.com/v1/chat/completions", json=body)
"""
TESTS = """
import pytest
from app import ask

def test_answer():
    ask("Which book is on the shelf?")
    ask("And in one word?")

@pytest.mark.parametrize("title", ["Emma", "Middlemarch"])
def test_title(title):
    ask(f"Is {title} on the shelf?")

def test_hours():
    ask("When is the shop open, and where do I ring?")
"""


class Repository:
    """A repository with a committed baseline on its main branch."""

    def __init__(self, root: Path, session) -> None:
        self.root = root
        self.session = session
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("app.py", APP)
        self.write("test_shop.py", TESTS)
        self.commit()
        assert session("-q", "--llm-baseline=create").ret == 0
        self.commit()

    def git(self, *arguments: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *names, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all", ":!report.json")
        self.git("commit", "--quiet", "--message", "a change")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text, "utf8")

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text("utf8")
        assert old in text
        self.write(name, text.replace(old, new))

    def move_main(self) -> None:
        """Make a call of the main branch dearer, with its baseline."""
        self.git("switch", "--quiet", "main")
        self.change("test_shop.py", "When is the shop open", "Good day! " * 100 + "When is the shop open")
        assert self.session("-q", "--llm-baseline=fix").ret == 0
        self.commit()
        self.git("switch", "--quiet", "branch")


def rename(shop: Repository) -> None:
    shop.change("test_shop.py", "test_answer", "test_is_on_the_shelf")


def move(shop: Repository) -> None:
    shop.git("mv", "test_shop.py", "test_desk.py")


def other_ids(shop: Repository) -> None:
    shop.change("test_shop.py", '"Middlemarch"])', '"Middlemarch"], ids=["short", "long"])')


def one_more_parameter(shop: Repository) -> None:
    shop.change("test_shop.py", '"Middlemarch"]', '"Middlemarch", "Persuasion"]')


def new(shop: Repository) -> None:
    shop.write("test_new.py", 'from app import ask\n\ndef test_new():\n    ask("Is there a reading?")\n')


def deleted(shop: Repository) -> None:
    shop.write("test_shop.py", TESTS.partition("def test_hours")[0])


def refactored(shop: Repository) -> None:
    shop.change(
        "app.py", '{"model": "gpt-4o-mini", "max_tokens": 300, ', '{"max_tokens": 300, "model": "gpt-4o-mini", '
    )
    shop.change("test_shop.py", "\ndef test_answer", "\nclass Helper: ...\n\ndef test_answer")


def formatted(shop: Repository) -> None:
    shop.change(
        "app.py", "json=body)", 'content=json.dumps(body, indent=4), headers={"content-type": "application/json"})'
    )


def reordered(shop: Repository) -> None:
    head, *tests = TESTS.split("\n\n")
    shop.write("test_shop.py", "\n\n".join([head, *reversed(tests)]) + "\n")


def stale(shop: Repository) -> None:
    new(shop)
    shop.commit()
    shop.move_main()


def merged(shop: Repository) -> None:
    stale(shop)
    shop.git("merge", "--quiet", "--no-edit", "main")


def merge_of_github(shop: Repository) -> None:
    stale(shop)
    shop.git("switch", "--quiet", "--detach", "main")
    shop.git("merge", "--quiet", "--no-ff", "--no-edit", "branch")


def newer_prices(shop: Repository) -> None:
    shop.git("switch", "--quiet", "main")
    path = shop.root / "llm-costs.json"
    agreed = read(Baseline, path)
    older = agreed.model_copy(update={"book": "genai-prices 0.0.1", "prices": dict.fromkeys(agreed.prices, "0")})
    path.write_text(older.text(), "utf8")
    shop.commit()
    shop.git("switch", "--quiet", "branch")
    shop.git("merge", "--quiet", "main")


CHANGES = {
    "unchanged": (lambda shop: None, ""),
    "renamed": (rename, "renamed: *renamed from test_shop.py::test_answer"),
    "moved": (move, "moved: moved, in 4 tests: test_desk.py::*"),
    "other ids of the parameters": (other_ids, "parametrised: *"),
    "one more parameter": (one_more_parameter, "new: *test_title*Persuasion*"),
    "a new test": (new, "new: test_new.py::test_new: *"),
    "a deleted test": (deleted, "note: 1 test of the baseline no longer exists: test_shop.py::test_hours"),
    "refactored": (refactored, ""),
    "formatted": (formatted, ""),
    "tests in another order": (reordered, ""),
    "a stale branch": (stale, "new: test_new.py::test_new: *"),
    "main merged into the branch": (merged, "new: test_new.py::test_new: *"),
    "the merge that GitHub tests": (merge_of_github, "new: test_new.py::test_new: *"),
    "a newer price book": (newer_prices, "not judged: the price of openai gpt-4o-mini has changed*"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_passes(pytester, session, change):
    shop = Repository(pytester.path, session)
    shop.git("switch", "--quiet", "--create", "branch")
    edit, line = CHANGES[change]
    edit(shop)
    done = session("-q", "--llm-gate", "--llm-gate-base=main")
    shown = done.stdout.str()
    assert done.ret == 0, shown
    done.stdout.fnmatch_lines([line or "passed: 4 tests judged"])
    for state in ("regression:", "warning:", "inconclusive", "unmeasured:", "changed:"):
        assert f"\n{state}" not in shown


@pytest.mark.parametrize("change", ["renamed", "moved", "the merge that GitHub tests"])
def test_what_it_hides_is_still_seen(pytester, session, change):
    shop = Repository(pytester.path, session)
    shop.git("switch", "--quiet", "--create", "branch")
    shop.change("app.py", '"content": question}]}', '"content": question * 30}]}')
    CHANGES[change][0](shop)
    done = session("-q", "--llm-gate", "--llm-gate-base=main")
    assert done.ret == 10, done.stdout.str()
    done.stdout.fnmatch_lines(["regression: *user +*"])
