"""Shells for journeys, each in a folder of its own and tidied up behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.journeys.project import LongFit, copy_of_approved
from tests.journeys.shell import Shell


@pytest.fixture
def tidy() -> Iterator[Callable[[Shell], Shell]]:
    """Take shells; at the end nothing that was started in them may still run, however the test went."""
    shells: list[Shell] = []

    def keep(shell: Shell) -> Shell:
        shells.append(shell)
        return shell

    yield keep
    left = {pid: what for shell in shells for pid, what in shell.close().items()}
    assert not left, f"processes were left behind: {left}"


@pytest.fixture
def long_fit() -> Iterator[LongFit]:
    fit = LongFit()
    yield fit
    fit.close()


@pytest.fixture(params=["embedded", "postgresql and s3"])
def shell(request: pytest.FixtureRequest, tmp_path: Path, tidy: Callable[[Shell], Shell]) -> Shell:
    """A shell in an empty folder, once with everything in the home, once on PostgreSQL and S3."""
    place = {} if request.param == "embedded" else request.getfixturevalue("elsewhere")
    return tidy(Shell(tmp_path / "project", **place))


@pytest.fixture
def elsewhere(postgres_url: str, s3: str, tmp_path: Path) -> dict[str, str]:
    """An empty database on PostgreSQL and an empty place in a bucket."""
    return {"database": postgres_url, "blobs": f"s3://models/{tmp_path.name}", "blobs_endpoint": s3}


@pytest.fixture
def approved(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, tidy: Callable[[Shell], Shell]) -> Shell:
    """A shell in a project on SQLite whose models ``slow`` and ``late`` are approved and routed."""
    return tidy(copy_of_approved(tmp_path_factory, tmp_path / "approved"))


@pytest.fixture(params=["embedded", "postgresql and s3"])
def placed(request: pytest.FixtureRequest) -> Shell:
    """The project whose models are approved, once with everything in the home, once moved to PostgreSQL and S3."""
    shell: Shell = request.getfixturevalue("approved" if request.param == "embedded" else "grown")
    return shell


@pytest.fixture
def grown(
    approved: Shell, elsewhere: dict[str, str], tidy: Callable[[Shell], Shell], emptied: Callable[[str], None]
) -> Shell:
    """The same project, moved to PostgreSQL and S3."""
    emptied(elsewhere["database"])
    there = tidy(Shell(approved.folder, **elsewhere))
    approved.environment |= {name: text for name, text in there.environment.items() if name.startswith("AWS_")}
    approved.environment["TRIMTAB_BLOBS_ENDPOINT"] = elsewhere["blobs_endpoint"]
    to = ("--to", elsewhere["database"], "--blobs", elsewhere["blobs"])
    approved.run("move", *to, "--yes", "--because", "we grow")
    return there
