"""The small project of the loop's tests, and the evidence of what happened in the seeded home."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.loop.conftest import project, project_file
from tests.seeded import LATER, Seeded
from tests.store.conftest import fill

from trimtab.governance import Evidence, evidence_pack
from trimtab.kernel import VirtualClock
from trimtab.store import Store, export_log, open_store

__all__ = ["fill", "project", "project_file"]


@pytest.fixture(scope="session")
def lived(seeded: Seeded) -> Iterator[Store]:
    """The store of a home in which much has happened; nothing may change it."""
    opened = open_store(seeded.settings, clock=VirtualClock(LATER))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def key(lived: Store) -> str:
    """The public key of its ledger."""
    return lived.keys.public(lived.origin) or ""


@pytest.fixture(scope="session")
def evidence(lived: Store) -> Evidence:
    """The evidence of its champion."""
    return evidence_pack(lived, "slow@1")


@pytest.fixture(scope="session")
def exported(lived: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its ledger, exported."""
    path = tmp_path_factory.mktemp("exported") / "ledger.jsonl"
    export_log(lived, path)
    return path
