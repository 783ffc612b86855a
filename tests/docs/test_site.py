"""The documentation's site: it builds without a warning, has every page once, and loads nothing from other hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.chromium import browser
from support.documentation import DOCS, ROOT, anchors, blocks, links, name, pages
from support.shell import commands

PAGES = ("index.html", "tutorial.html")


def test_the_makefile_builds_it_strictly():
    _, _, recipe = (ROOT / "Makefile").read_text("utf8").partition("\ndocs:")
    assert "zensical build --clean --strict" in recipe.partition("\n\n")[0]
    assert "\nmake docs\n" in (ROOT / ".ci/run").read_text("utf8")


def in_navigation(tree: object) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    return [page for each in (tree.values() if isinstance(tree, dict) else tree) for page in in_navigation(each)]


def test_every_page_is_in_the_navigation_once():
    nav = in_navigation(tomllib.loads((ROOT / "zensical.toml").read_text("utf8"))["project"]["nav"])
    assert sorted(nav) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", [*pages(), ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_lead_somewhere(path):
    for target, anchor in links(path):
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), target
        if path.is_relative_to(DOCS):
            assert there.is_file(), f"{target}: a folder is no page of the site"
            assert there.is_relative_to(DOCS), f"{target} is not on the site"
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def test_every_example_is_on_a_page():
    shown = {block.title for path in pages() for block in blocks(path)}
    shown |= {target.rpartition("/")[2] for path in pages() for target, _ in links(path)}
    wanted = {path.name for path in (DOCS / "examples").glob("*.py")} - {"conftest.py", "summariser.py"}
    assert wanted - shown == set()


def test_every_picture_is_on_the_start_page():
    shown = {target for target, _ in links(DOCS / "index.md")}
    assert {f"pictures/{path.name}" for path in DOCS.glob("pictures/*.svg")} <= shown


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build and serve the site; yield its address."""
    pytest.importorskip("zensical", reason="needs zensical, which needs Python 3.11.5 or newer: pip install zensical")
    project = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", project)
    shutil.copytree(DOCS, project / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    handler = partial(_Quiet, directory=str(project / "build/docs"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as made:
        yield made


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, False), (400, True)])
def test_a_page_in_a_browser(site, tab, page, width, dark, tmp_path):
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(f"{site}/{page}", width, dark=dark)
    assert tab.complaints == []
    outside = [url for url in tab.requests if not url.startswith((site, "data:"))]
    assert outside == []
    assert tab.run("document.body.getAttribute('data-md-color-scheme')") == ("slate" if dark else "default")
    # no overflow, and no text too small to read
    assert tab.run("document.documentElement.scrollWidth") <= width
    article = "document.querySelector('article')"
    assert tab.run(f"parseFloat(getComputedStyle({article}).fontSize)") >= 14
    assert tab.run(f"{article}.getBoundingClientRect().right") <= width
    wanted = len(list(DOCS.glob("pictures/*.svg"))) if page == "index.html" else 0
    assert tab.run(f"[...{article}.querySelectorAll('img')].filter((each) => each.naturalWidth > 0).length") >= wanted
    assert tab.run(f"[...{article}.querySelectorAll('img')].filter((each) => each.naturalWidth === 0).length") == 0
    tab.picture(tmp_path / "page.png")


def test_every_page_fits_a_phone(site, tab):
    tab.requests.clear()
    tab.complaints.clear()
    built = [f"{path.relative_to(DOCS).with_suffix('.html').as_posix()}" for path in sorted(DOCS.rglob("*.md"))]
    for page in built:
        tab.open(f"{site}/{page}", 400)
        assert tab.run("document.documentElement.scrollWidth") <= 400, page
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith((site, "data:"))] == []


def test_what_is_copied_of_a_console_is_its_commands(site, tab):
    tab.open(f"{site}/tutorial.html", 1280)
    copied = tab.run(
        "[...document.querySelectorAll('.language-console code')].map((code) => {"
        "code.setAttribute('data-md-copying', ''); return code.innerText})"
    )
    consoles = [block for block in blocks(DOCS / "tutorial.md") if block.language == "console"]
    for text, block in zip(copied, consoles, strict=True):
        assert [line for line in text.splitlines() if line] == [command for command, _ in commands(block.text)]


def test_its_search_finds(site, tab):
    tab.requests.clear()
    tab.open(f"{site}/index.html", 1280)
    assert [url for url in tab.requests if not url.startswith((site, "data:"))] == []
    assert "llm_backend_budget_usd" in tab.run(f"fetch('{site}/search.json').then((answer) => answer.text())")
