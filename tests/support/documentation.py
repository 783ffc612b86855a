"""Reads the documentation's pages: code blocks, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
INFO = re.compile(r'(?P<language>\w+)(?: title="(?P<title>[\w./-]+)"| (?P<shown>\{ \.shown \}))?|')


@dataclass(frozen=True)
class Block:
    """A code block. `title` is its file name; `shown`: it is not run."""

    line: int
    language: str
    title: str
    shown: bool
    text: str


def pages() -> list[Path]:
    """Return all pages and the README."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found = []
    for token in _tokens(page):
        if token.type == "code_block":
            raise AssertionError(
                f"{name(page)}:{token.map[0] + 1}: put three backticks around the code, and its language"
            )
        if token.type == "fence":
            info = INFO.fullmatch(token.info.strip())
            where = f"{name(page)}:{token.map[0] + 1}"
            assert info, f'{where}: after the backticks comes LANGUAGE, LANGUAGE title="FILE" or LANGUAGE {{ .shown }}'
            language = info["language"] or "text"
            shown = bool(info["shown"]) or language == "text"
            found.append(Block(token.map[0] + 1, language, info["title"] or "", shown, token.content))
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page."""
    tokens = _tokens(page)
    return {slug(after.content) for token, after in pairwise(tokens) if token.type == "heading_open"}


def slug(heading: str) -> str:
    """Return a heading's anchor, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: Path) -> list[tuple[str, str]]:
    """Return the local targets of links and pictures, with their anchors."""
    found = []
    for token in _tokens(page):
        for child in token.children or ():
            if target := child.attrGet("href") or child.attrGet("src"):
                path, _, anchor = str(target).partition("#")
                if not re.match(r"[a-z]+:", path):
                    found.append((unquote(path), unquote(anchor)))
    return found


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf8"))
