"""The baseline as it stood where a branch began, asked of git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import parsed


class HistoryError(ValueError):
    """What git cannot say; the message says what to do."""


def merge_base(root: Path, rev: str) -> str:
    """The commit where this branch left REV. Raises `HistoryError`."""
    if rev.startswith("-"):
        raise HistoryError(f"--llm-gate-base={rev}: that is an option of git, and no revision")
    if _git(root, "rev-parse", "--is-inside-work-tree") is None:
        raise HistoryError(f"--llm-gate-base={rev}: {root} is in no git repository: run it in a clone, or leave it out")
    shallow = (_git(root, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    deepen = "this clone is shallow: fetch the whole history (fetch-depth: 0 for actions/checkout)"
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    if commit is None:
        what = deepen if shallow else f"fetch it first (git fetch origin {rev.removeprefix('origin/')})"
        raise HistoryError(f"--llm-gate-base={rev}: there is no such revision here: {what}")
    found = _git(root, "merge-base", "HEAD", commit.strip())
    if found is None:
        what = deepen if shallow else "name the branch that this one came from"
        raise HistoryError(f"--llm-gate-base={rev}: it has no commit in common with HEAD: {what}")
    return found.strip()


def baseline_at(root: Path, commit: str, path: Path) -> Baseline | None:
    """The baseline as it stood at this commit, or None where there was none. Raises `DocumentError`."""
    text = _git(path.parent if path.parent.is_dir() else root, "show", f"{commit}:./{path.name}")
    return None if text is None else parsed(Baseline, text, f"{path.name} at {commit[:10]}")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=root,
            capture_output=True,
            encoding="utf8",
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        raise HistoryError("--llm-gate-base needs git, which is not on the PATH") from None
    return done.stdout if done.returncode == 0 else None
