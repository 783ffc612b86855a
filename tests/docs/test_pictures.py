"""The documentation's pictures: self-contained, and as the programs draw them today."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from support import LONG, SOAK
from support.pictures import PICTURES, shown

ROOT = PICTURES.parents[1]
NAMES = ("llm-metrics", "llm-gate", "top")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_asks_for_nothing_and_tells_of_no_machine(name):
    text = (PICTURES / f"{name}.svg").read_text("utf8")
    assert re.findall(r"\w+://[^\s\"'<]+", text.replace("http://127.0.0.1:5000/metrics", "")) == [
        "http://www.w3.org/2000/svg"
    ]
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    assert not re.search(r"@import|@font-face|<(image|script|use|foreignObject)|href", text)
    assert not re.search(r"/(home|root|tmp|work|Users)\b", text)
    assert len(shown(name)) > 5


def test_the_readme_opens_with_one():
    readme = (ROOT / "README.md").read_text("utf8")
    assert re.findall(r"\]\((docs/pictures/.*?)\)", readme) == ["docs/pictures/top.svg"]
    assert {path.stem for path in PICTURES.glob("*.svg")} == set(NAMES)


def test_top_is_what_the_terminal_s_test_sees():
    golden = (ROOT / "tests/runtime/golden/top.104.txt").read_text("utf8").splitlines()
    assert shown("top")[1:] == golden[1:]
    assert [line.split() for line in shown("top")[:1]] == [golden[0].replace(":50000", ":5000").split()]


# half a minute; the tests of the screen and of the gate look at their parts
@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
def test_the_programs_draw_them_again():
    spec = importlib.util.spec_from_file_location("pictures_made", PICTURES / "make.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    for name, svg in made.pictures():
        assert svg == (PICTURES / f"{name}.svg").read_text("utf8"), "make pictures"
