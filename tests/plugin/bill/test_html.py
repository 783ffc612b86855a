"""The HTML report in a real Chromium: content, sorting, layout, and no request to other hosts."""

from __future__ import annotations

import json
import re

import pytest
from support.chromium import browser
from support.reports import report, rich

from pytest_llmmetrics.bill.rendering import html

SIZES = [(1280, False), (1280, True), (400, False), (400, True)]

CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    if (!own) continue;
    const pair = [light(parse(getComputedStyle(node).color).slice(0, 3)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) low.push(`${node.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return low;
})()
"""

COLUMN = "[...document.querySelectorAll('#tests tbody tr')].map((row) => row.cells[{n}].textContent.trim())"
CLICK = "document.querySelectorAll('#tests th button')[{n}].click()"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as made:
        yield made


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "llm-costs.html"
    made.write_text(html.page(rich()), "utf8")
    return made


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_it_is_readable(tab, path, width, dark):
    tab.open(path, width, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") == width
    cut = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length"
    assert tab.run(cut) == 0
    small = (
        "[...document.querySelectorAll('main *')].filter((e) => parseFloat(getComputedStyle(e).fontSize) < 12).length"
    )
    assert tab.run(small) == 0
    assert tab.run(CONTRAST) == []
    assert tab.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 22, 27)" if dark else "rgb(250, 249, 246)"
    )


def test_its_charts_say_what_its_numbers_say(tab, path):
    tab.open(path, 1280)
    bars = tab.run(
        "[...document.querySelectorAll('#by-test .bar')].map((bar) => ["
        "bar.querySelector('.test').textContent, "
        "...['was', 'now'].map((side) => [...bar.querySelectorAll(`.line.${side} i`)]"
        ".reduce((sum, part) => sum + part.getBoundingClientRect().width, 0))])"
    )
    widths = {name: (was, now) for name, was, now in bars}
    assert len(bars) == 8
    whole = widths["tests/test_summary.py::test_long_review"]
    assert whole[0] == whole[1] > 500
    was, now = widths["tests/test_support.py::test_refund_is_explained[late parcel]"]
    assert now / was == pytest.approx(0.01422 / 0.01166, rel=0.02)
    assert widths["tests/test_translate.py::test_markup <b>&amp;</b>"] == (0, 0)
    assert tab.run("document.querySelectorAll('#by-model .bar').length") == 5
    assert tab.run("document.querySelectorAll('#by-kind .line').length") == 2
    assert tab.run("document.querySelectorAll('#by-test .guess').length") == 1


def test_sorting(tab, path):
    tab.open(path, 1280)
    first = tab.run(COLUMN.format(n=0))
    assert first[0] == "tests/test_summary.py::test_long_review"
    tab.run(CLICK.format(n=4))
    prompts = [int(text.replace(",", "").lstrip("~")) for text in tab.run(COLUMN.format(n=4))]
    assert prompts == sorted(prompts, reverse=True)
    tab.run(CLICK.format(n=4))
    prompts = [int(text.replace(",", "").lstrip("~")) for text in tab.run(COLUMN.format(n=4))]
    assert prompts == sorted(prompts)
    tab.run(CLICK.format(n=0))
    assert tab.run(COLUMN.format(n=0)) == sorted(first)
    assert tab.run("document.querySelectorAll('#tests th[aria-sort=ascending]').length") == 1


def test_it_asks_nobody_and_complains_of_nothing(tab, path):
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(path, 1280)
    tab.run(CLICK.format(n=1))
    assert [url for url in tab.requests if not url.startswith("data:")] == [path.as_uri()]
    assert tab.complaints == []


def test_it_is_readable_without_javascript(tab, path):
    tab.open(path, 400, script=False)
    assert tab.run("document.querySelectorAll('#tests th button').length") == 0
    assert len(tab.run(COLUMN.format(n=0))) == 8
    assert tab.run("document.querySelector('h1').textContent") == "What the tests' LLM calls cost"
    assert tab.run("document.querySelector('.badge').textContent") == "Blocked"


def test_a_report_alone_has_no_before(tab, tmp_path):
    path = tmp_path / "plain.html"
    path.write_text(html.page(report(rich().rows)), "utf8")
    tab.open(path, 1280)
    assert tab.run("document.querySelectorAll('.badge, .line.was, #findings').length") == 0
    assert tab.run("document.querySelectorAll('#by-test .bar').length") == 8


def test_nothing_in_it_is_markup_of_a_strangers():
    text = html.page(rich())
    assert "test_markup <b>" not in text
    assert "test_markup &lt;b&gt;&amp;amp;&lt;/b&gt;" in text
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", text) == ["data:,"]
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert json.dumps(text)
