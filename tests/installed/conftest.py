"""What a user gets: the distributions, and environments that have the wheels alone. Made once, for all workers."""

from __future__ import annotations

import os

import pytest
from filelock import FileLock
from support.distributions import Environment, build, environment
from support.documentation import ROOT


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The directory with `dist` and the environments `wheels` and `cli`: made once, by the first worker that asks."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / "installed"
    with FileLock(shared / "installed.lock"):
        if not (place / "ready").exists():
            dist = place / "dist"
            dist.mkdir(parents=True, exist_ok=True)
            for each in (ROOT / "runtime", ROOT):
                build(each, dist, place / "unpacked")
            environment(place / "wheels", *dist.glob("*.whl"), "openai")
            with_cli = f"{next(dist.glob('llmmetrics-*.whl'))}[cli]"
            environment(place / "installed", with_cli, next(dist.glob("pytest_llmmetrics-*.whl")))
            (place / "ready").touch()
    return place


@pytest.fixture
def dist(made):
    """Where the wheels and the sdists are."""
    return made / "dist"


@pytest.fixture
def wheels(made):
    """Both wheels and the openai SDK."""
    return Environment(made / "wheels")


@pytest.fixture
def installed(made):
    """What the README has one install: the runtime's wheel with its extra `cli`, and the plugin's."""
    return Environment(made / "installed")
