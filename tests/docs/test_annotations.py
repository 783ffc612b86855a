"""The arguments of every test in the documentation have types."""

from __future__ import annotations

import ast

from support.documentation import DOCS, blocks, name, pages


def test_fixtures_are_annotated():
    shown = [
        (f"{name(page)}:{block.line}", block.text)
        for page in pages()
        if page.is_relative_to(DOCS)
        for block in blocks(page)
        if block.language == "python"
    ]
    examples = [(path.name, path.read_text("utf8")) for path in (DOCS / "examples").glob("*.py")]
    tests = [
        (where, node)
        for where, text in (*shown, *examples)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(tests) > 20
    bare = [f"{where}: {node.name}({arg.arg})" for where, node in tests for arg in node.args.args if not arg.annotation]
    assert [each for each in bare if not each.endswith("(self)")] == []
