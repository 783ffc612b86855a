"""Makes the pictures of the README: `make pictures` writes them into this folder, from what the real programs draw.

The SVGs are the same each time: the traffic, the tests and the sizes are fixed, and no duration of a run is shown.
`report.png` is a screenshot by Chromium, in the fonts of the machine.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.color import parse_rgb_hex
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from support.bookshop import Bookshop
from support.chromium import browser
from support.terminal import terminal
from support.top_scene import SIZES, played

COLUMNS, LINES = 104, 60
REPORT_WIDTH = 1000

DESK = """
import anthropic
import openai
import pytest

from pytest_llmmetrics import faults

REVIEW = [{"role": "user", "content": "Is this a book for a ten-year-old?"}]


@pytest.fixture
def ask():
    with openai.OpenAI(api_key="not-a-key", max_retries=1) as client:
        yield lambda model="gpt-4o-mini": client.chat.completions.create(model=model, messages=REVIEW)


def test_gifts(llm_provider, ask):
    llm_provider.reply("Yes.", prompt_tokens=1840, completion_tokens=236, cache_read=1024)
    assert ask("gpt-4o")


def test_busy(llm_provider, ask):
    llm_provider.fail(faults.RATE_LIMIT)
    llm_provider.reply("Yes.", prompt_tokens=310, completion_tokens=42)
    assert ask()


def test_translates(llm_provider):
    llm_provider.reply("Ja.", prompt_tokens=920, completion_tokens=405)
    with anthropic.Anthropic(api_key="not-a-key") as client:
        assert client.messages.create(model="claude-haiku-4-5", messages=REVIEW, max_tokens=500)

"""


NORMAL = ("484f58", "ff7b72", "3fb950", "d29922", "58a6ff", "bc8cff", "39c5cf", "b1bac4")
BRIGHT = ("6e7681", "ffa198", "56d364", "e3b341", "79c0ff", "d2a8ff", "56d4dd", "f0f6fc")
BACKGROUND, FOREGROUND = "0d1117", "c9d1d9"
"""GitHub's own dark colours."""

THEME = TerminalTheme(
    parse_rgb_hex(BACKGROUND), parse_rgb_hex(FOREGROUND), [*map(parse_rgb_hex, NORMAL)], [*map(parse_rgb_hex, BRIGHT)]
)

# rich's own, but for what it would load from elsewhere
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
)


def picture(name: str, title: str, drawn: str) -> str:
    """The SVG of what a program drew."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    text = Text.from_ansi(drawn.replace("\r\n", "\n"))
    text.rstrip()
    console.print(text, soft_wrap=True)
    return console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id=name)


def session(shop: Bookshop, *commands: str) -> str:
    """What a person sees who gives these commands in the shop's directory, prompts included."""
    prompt = r"printf '\033[1;32m$\033[0m %s\n'"
    script = "".join(f"{prompt} {shlex.quote(each)}; (exit $code); {each}; code=$?\n" for each in commands)
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    environ = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with terminal(["/bin/sh", "-c", script], COLUMNS, LINES, cwd=shop.root, **environ) as screen:
        screen.end()
    # the one thing that is another each time
    return re.sub(r" in \d+\.\d\ds", "", screen.wrote.decode())


def the_shop(directory: Path) -> Bookshop:
    """The repository of the examples, with a few more tests and its baseline."""
    shop = Bookshop(directory)
    shop.write("tests/test_desk.py", DESK.lstrip("\n"))
    shop.change("pyproject.toml", "[tool.pytest]", '[tool.pytest]\naddopts = ["-q", "-p", "no:asyncio"]')
    shop.git("config", "color.ui", "always")
    assert shop.pytest("--llm-baseline=create").returncode == 0
    shop.commit("The desk")
    return shop


def dearer(shop: Bookshop) -> None:
    """A change of one line."""
    shop.change("shop/assistant.py", 'MODEL = "gpt-4o-mini"', 'MODEL = "gpt-4o"')
    shop.record()


def pictures() -> Iterator[tuple[str, str]]:
    """Every picture, by its name."""
    (drawn,) = (frame for (columns, _), (_, frame) in zip(SIZES, played(), strict=True) if columns == COLUMNS)
    yield "top", picture("top", "llmmetrics top", drawn.decode().replace(":50000/metrics", ":5000/metrics "))
    with tempfile.TemporaryDirectory() as directory:
        shop = the_shop(Path(directory) / "bookshop")
        metrics = session(shop, "pytest --llm-metrics")
        yield "llm-metrics", picture("llm-metrics", "bookshop", metrics)
        shop.branch("dearer-model", dearer)
        gate = session(shop, "git diff -U0 main shop | tail -n 2", "pytest --llm-gate", "echo $?")
        yield "llm-gate", picture("llm-gate", "bookshop", gate)


def report(path: Path) -> None:
    """Write a screenshot of the HTML report of a pull request that costs more."""
    with tempfile.TemporaryDirectory() as directory:
        shop = the_shop(Path(directory) / "bookshop")
        shop.branch("dearer-model", dearer)
        page = Path(directory) / "report.html"
        shop.pytest("--llm-gate", f"--llm-report={page}")
        with browser(Path(directory)) as tab:
            tab.open(page, REPORT_WIDTH)
            tab.picture(path)


if __name__ == "__main__":
    report(Path(__file__).with_name("report.png"))
    for name, svg in pictures():
        Path(__file__).with_name(f"{name}.svg").write_text(svg, "utf8")
