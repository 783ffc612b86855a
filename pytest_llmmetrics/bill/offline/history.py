"""Reads the baseline at the merge base, from git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import parsed


class HistoryError(ValueError):
    """git does not know a revision; the message says what to do."""


def merge_base(root: Path, rev: str) -> str:
    """Return the merge base of HEAD and REV. Raises `HistoryError`."""
    if rev.startswith("-"):
        raise HistoryError(
            f"--llm-gate-base={rev}: this is an option of git, not a revision: name a branch, tag or commit"
        )
    if git(root, "rev-parse", "--is-inside-work-tree") is None:
        raise HistoryError(
            f"--llm-gate-base={rev}: {root} is not in a git repository: run pytest in a clone, or remove the option"
        )
    shallow = (git(root, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    deepen = "this clone is shallow: fetch the whole history (fetch-depth: 0 for actions/checkout)"
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    if commit is None:
        what = deepen if shallow else f"fetch it first (git fetch origin {rev.removeprefix('origin/')})"
        raise HistoryError(f"--llm-gate-base={rev}: the revision does not exist in this clone: {what}")
    base = git(root, "merge-base", "HEAD", commit.strip())
    if base is None:
        what = deepen if shallow else "name the branch that this branch started from"
        raise HistoryError(f"--llm-gate-base={rev}: it has no commit in common with HEAD: {what}")
    return base.strip()


def baseline_at(root: Path, commit: str, path: Path) -> Baseline | None:
    """Return the baseline at this commit, or None if it did not exist. Raises `DocumentError`."""
    text = git(path.parent if path.parent.is_dir() else root, "show", f"{commit}:./{path.name}")
    return None if text is None else parsed(Baseline, text, f"{path.name} at {commit[:10]}")


def git(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None: it failed. Raises `HistoryError` without git."""
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
        raise HistoryError(
            "--llm-gate-base needs git, which is not on the PATH: install it, or remove the option"
        ) from None
    return done.stdout if done.returncode == 0 else None
