"""A ledger that is older than what was seen of it, as somebody finds it and goes on with it at the prompt."""

import shutil
from pathlib import Path

from tests.cli.conftest import Type

MAKE = ("token", "create", "--may", "read", "--because", "for a test")


def test_an_older_database_is_written_on_once_somebody_accepts_it(at_begun: Type, tmp_path: Path) -> None:
    database, older = tmp_path / ".trimtab" / "trimtab.db", tmp_path / "sunday.db"
    assert at_begun(*MAKE, "one").code == 0
    shutil.copy(database, older)
    assert at_begun(*MAKE, "two").code == 0
    for file in database.parent.glob("trimtab.db*"):
        file.unlink()
    older.rename(database)

    refused = at_begun(*MAKE, "three")
    assert (refused.code, refused.out) == (1, "")
    assert "the ledger ends after 1 events, and this home has seen it with 2" in refused.err
    assert 'trimtab ledger accept --because "..."' in refused.err
    assert at_begun("get", "events").code == 0, "reading goes on"
    assert "no reason was given" in at_begun("ledger", "accept").err
    assert at_begun("verify").code == 1

    accepted = at_begun("ledger", "accept", "--because", "the disk of Monday is lost")
    assert (accepted.code, accepted.out) == (
        0, "The ledger goes on after 1 events; it had been seen with 2.\n",
    )  # fmt: skip
    assert at_begun(*MAKE, "three").code == 0
    told = at_begun("get", "events", "--type", "store.history-accepted").out
    assert "the disk of Monday is lost" in told
    assert at_begun("verify").out.startswith("intact: ")
    assert "there is nothing to accept" in at_begun("ledger", "accept", "--because", "again").err
