"""What pages and messages tell users to install exists: names, extras, and their dependencies."""

from __future__ import annotations

import re
import tomllib

from support.documentation import DOCS, ROOT, name, pages

OURS = {
    each["name"]: each
    for file in ("runtime/pyproject.toml", "pyproject.toml")
    for each in [tomllib.loads((ROOT / file).read_text("utf8"))["project"]]
}
EXTRAS = {name: set(each.get("optional-dependencies", ())) for name, each in OURS.items()}
PLACES = {"./runtime": "llmmetrics", ".": "pytest-llmmetrics"}
"""The directories of the distributions in a clone."""

SOURCES = [*pages(), ROOT / "runtime/README.md", *ROOT.glob("runtime/llmmetrics/**/*.py")]
COMMAND = re.compile(r"pip install ([^`\n#\"]+)")
REQUIREMENT = re.compile(r"(?P<name>[\w./-]+)(?:\[(?P<extras>[\w,{}]+)\])?(?P<rest>.*)")


def bare(requirement: str) -> str:
    """Return the distribution's name in a dependency."""
    return re.split(r"[\[<>=;]", requirement)[0].strip()


def asked() -> list[tuple[str, str, set[str]]]:
    """Yield each place that installs one of our distributions: file, distribution, extras."""
    found = []
    for path in SOURCES:
        for command in COMMAND.findall(path.read_text("utf8")):
            for each in map(REQUIREMENT.match, re.findall(r"[\w.][\w./,{}\[\]-]*", command)):
                distribution = PLACES.get(each["name"], each["name"])
                if "llmmetrics" in distribution:
                    found.append((name(path), distribution, set((each["extras"] or "").split(",")) - {"", "{name}"}))
    return found


def test_what_is_to_be_installed_can_be():
    assert {distribution for _, distribution, _ in asked()} == set(OURS)
    for where, distribution, extras in asked():
        assert distribution in OURS, where
        assert extras <= EXTRAS[distribution], where


def rows() -> dict[str, set[str]]:
    """Return the page's table: the dependencies of each distribution and extra."""
    table = re.findall(r"^\| `([\w\[\]-]+)` \|[^|]*\| (.*?) \|", (DOCS / "install.md").read_text("utf8"), re.MULTILINE)
    return {first: set(re.findall(r"`([\w-]+)`", brings)) for first, brings in table}


def test_every_extra_is_on_the_page_with_what_it_brings():
    runtime = OURS["llmmetrics"]
    extras = {f"llmmetrics[{extra}]": {*map(bare, needs)} for extra, needs in runtime["optional-dependencies"].items()}
    told = rows()
    plugin = told.pop("pytest-llmmetrics")
    assert told == {"llmmetrics": {*map(bare, runtime["dependencies"])} - {"tzdata"}, **extras}
    assert plugin == {*map(bare, OURS["pytest-llmmetrics"]["dependencies"])} - told["llmmetrics"]


def test_the_pythons_of_the_classifiers_are_on_the_page():
    told = re.search(r"\*\*Python\*\* (.*)", (DOCS / "install.md").read_text("utf8"))[1]
    for each in OURS.values():
        assert each["requires-python"] == ">=3.11"
        assert set(re.findall(r"Python :: (3\.\d+)", str(each["classifiers"]))) <= set(re.findall(r"3\.\d+", told))
