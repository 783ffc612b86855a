"""The import graph: few rooms on few floors, no circle, no crowded folder; a class name stands for one class.

A room is a package, or a module at the top. `pytest tests/test_architecture.py -s` prints the numbers.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import llmmetrics
import pytest_llmmetrics

RUNTIME, PLUGIN = (Path(package.__file__).parent for package in (llmmetrics, pytest_llmmetrics))
PROJECT = PLUGIN.parent
ROOMS, FLOORS, MODULES = 26, 12, 20
"""At most so many rooms, floors, and modules in a folder."""


def name_of(path):
    parts = path.relative_to(RUNTIME.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# a `__main__` is a program: it imports, and nothing imports it
PATHS = {name_of(path): path for path in RUNTIME.rglob("*.py") if path.name != "__main__.py"}


def room_of(module):
    path = PATHS[module]
    return name_of(path.parent / "__init__.py") if path.parent != RUNTIME else module


def imports(module):
    """The modules of the runtime that a module imports, anywhere in it and for whatever purpose."""
    for node in ast.walk(ast.parse(PATHS[module].read_text("utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in PATHS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "llmmetrics":
            assert node.level == 0
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                # a public function may have the name of a module: the package's own names come first
                yield whole if whole in PATHS else node.module


GRAPH = {module: set(imports(module)) - {module} for module in PATHS}


def between_rooms():
    graph = {room_of(module): set() for module in PATHS}
    for module, others in GRAPH.items():
        graph[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    return graph


def circle(graph):
    """The names of one circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return " → ".join(reversed(exc.args[1]))
    return None


def floors(graph):
    """The floor of each room: 1 imports no other, any other stands on the highest that it imports."""
    floor = {}
    for name in TopologicalSorter(graph).static_order():
        floor[name] = 1 + max((floor[other] for other in graph[name]), default=0)
    return floor


def test_no_circle_between_modules():
    assert circle(GRAPH) is None


def test_no_circle_between_rooms():
    assert circle(between_rooms()) is None


def test_rooms_and_floors_are_few():
    graph = between_rooms()
    floor = floors(graph)
    lines = [f"{height:3} {name}" for name, height in sorted(floor.items(), key=lambda item: (-item[1], item[0]))]
    imported = sum(map(len, graph.values()))
    print("", f"{len(graph)} rooms, {max(floor.values())} floors, {imported} imports", *lines, sep="\n")  # noqa: T201
    assert len(graph) <= ROOMS
    assert max(floor.values()) <= FLOORS


def test_no_folder_is_crowded():
    folders = Counter(
        path.parent for root in (RUNTIME, PLUGIN) for path in root.rglob("*.py") if path.name != "__init__.py"
    )
    assert {folder.name: n for folder, n in folders.items() if n > MODULES} == {}


def test_a_class_name_stands_for_one_class():
    places = defaultdict(list)
    for path in (path for root in (RUNTIME, PLUGIN) for path in root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(path.parents[1])}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def table_of_packages(title):
    """The names in the first column of the table under a heading of docs/architecture.md."""
    text = (PROJECT / "docs/architecture.md").read_text("utf8")
    section = text.partition(f"\n### {title}")[2].partition("\n#")[0]
    return [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")], section


def layers_of(package):
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == [package])
    return {name: floor for floor, layer in enumerate(layers) for name in layer.split(" | ")}


@pytest.mark.parametrize("root", [RUNTIME, PLUGIN], ids=lambda root: root.name)
def test_the_table_of_packages_is_the_folders(root):
    rows, section = table_of_packages(root.name.replace("pytest_", "pytest-"))
    modules = {path.stem for path in root.glob("*.py") if path.stem != "__init__"}
    packages = {f"{path.parent.relative_to(root)}/" for path in root.rglob("__init__.py") if path.parent != root}
    if root is RUNTIME:
        modules.remove("__main__")
    named = re.findall(r"`([\w/]+)`", "".join(rows))
    assert sorted(named) == sorted(modules | {each for each in packages if each.count("/") == 1})
    for package in packages:
        assert f"`{package}`" in section, f"docs/architecture.md does not name {package}"
    floors = [layers_of(root.name)[name.rstrip("/")] for name in named]
    assert floors == sorted(floors), "docs/architecture.md: the order is not that of the contract in pyproject.toml"


YAML_FAULTS = {"YAMLError", "ValueError", "LookupError", "ArithmeticError", "AttributeError", "RecursionError"}
FAULTS = {
    "loads": {"ValueError", "RecursionError"},
    "load": YAML_FAULTS,
    "safe_load": YAML_FAULTS,
}
"""What the readers of json and yaml raise.

For long numbers `json.loads` raises a `ValueError` that is no `JSONDecodeError`; so does yaml, and for a date like
2026-13-45. `!!timestamp x` is an `AttributeError`, `!!bool x` and `!!int ''` are a `LookupError`, a float of many parts
is an `OverflowError`.
"""


def names_in(nodes, kind):
    found = (each for node in nodes for each in ast.walk(node) if isinstance(each, kind))
    return {each.attr if isinstance(each, ast.Attribute) else each.id for each in found}


def test_who_reads_a_document_knows_all_its_faults():
    careless = [
        f"{path.name}:{node.lineno} {reader}"
        for package in (llmmetrics, pytest_llmmetrics)
        for path in sorted(Path(package.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf8")))
        if isinstance(node, ast.Try)
        for reader in FAULTS.keys() & names_in(node.body, ast.Attribute)
        if not FAULTS[reader]
        <= names_in((one.type for one in node.handlers if one.type is not None), (ast.Attribute, ast.Name))
    ]
    assert not careless, "catch what FAULTS says"
