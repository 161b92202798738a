"""Homes of past schemas, filled: brought up to date they keep every row, every proof, and what people were answered."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.store.kept_homes import KEPT, Rows, rows_of, settings_of_kept

from trimtab.cli.main import run
from trimtab.cli.verbs.get import NOUNS
from trimtab.kernel import Actor, Settings
from trimtab.server import list_tokens
from trimtab.store import KeyMissing, NewerDatabase, Store, events, migrate, open_store, replace_key, verify

PASSING = {"ledger_outbox", "pipeline_runners", "tracking_console"}
"""Tables that hold rows only while something runs."""
ADDED = ("partial_moments", "rules", "ruled_before", "code", "issued_by", "may")
"""Columns that migrations have added since the first schema."""
REMOVED = {"server_tokens": ("permission",)}
"""Columns that were replaced by others; what became of their values has a test of its own."""
YOUNGER = {"refusals", "holds"}
"""Nouns of what no home of the first schema could hold."""
NEXT = '''"""A migration of the future."""

import sqlalchemy as sa
from alembic import op

revision = "9000_next"
down_revision = "{newest}"


def upgrade() -> None:
    op.add_column("registry_models", sa.Column("risk", sa.String(20), nullable=False, server_default="high"))
    op.create_table("next_things", sa.Column("id", sa.String(26), primary_key=True))
    {more}
'''


@pytest.fixture(params=KEPT)
def kept(request: pytest.FixtureRequest, database_url: str, emptied: Callable[[str], None], tmp_path: Path) -> Settings:
    """The settings of each kept home, once with its SQLite database and once with the same rows on PostgreSQL."""
    if database_url:
        emptied(database_url)
    return settings_of_kept(request.param, tmp_path, database=database_url)


def url_of(settings: Settings) -> str:
    return settings.database or f"sqlite:///{settings.home_path / 'trimtab.db'}"


def assert_kept(before: Rows, after: Rows, *, added: tuple[str, ...] = ()) -> None:
    for table in before.keys() - {"alembic_version"}:
        rows = [{name: row[name] for name in row if name not in added} for row in after[table]]
        gone = REMOVED.get(table, ())
        kept = [{name: row[name] for name in row if name not in gone} for row in before[table]]
        assert sorted(rows, key=repr) == sorted(kept, key=repr), table


def test_the_oldest_home_is_of_the_first_schema_and_fills_its_tables(kept: Settings) -> None:
    assert KEPT[0] == migrate.revisions()[0]
    assert {table for table, rows in rows_of(url_of(kept)).items() if not rows} <= PASSING


def test_a_kept_home_migrates_without_losing_a_row(kept: Settings, fill: Callable) -> None:
    before = rows_of(url_of(kept))
    store = open_store(kept)
    try:
        assert_kept(before, rows_of(url_of(kept)), added=ADDED)
        found = verify(store)
        assert (found.kind, found.events) == ("intact", len(before["ledger_events"]))
        with pytest.raises(KeyMissing):
            fill(store, 1)
        replace_key(store, actor=Actor("keeper"), because="the key was not kept")
        assert fill(store, 1).position == found.events + 1
        assert verify(store).kind == "intact"
    finally:
        store.close()


def test_a_token_of_before_may_do_what_it_could(kept: Settings) -> None:
    """Each permission included those before it; and who issued the token, the ledger knows."""
    (before,) = rows_of(url_of(kept))["server_tokens"]
    assert before["permission"] == "predict"
    store = open_store(kept)
    (token,) = list_tokens(store)
    issuer = events(store, type="server.token-issued")[0].actor
    store.close()
    assert (token.name, token.may) == (before["name"], ("read", "predict"))
    assert token.actor.issuers == (issuer.id,)


def test_everything_in_a_kept_home_can_be_read(
    kept: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(kept.home_path.parent)
    for name in ("home", "database"):
        monkeypatch.setenv(f"TRIMTAB_{name.upper()}", getattr(kept, name))
    monkeypatch.setenv("TRIMTAB_CLOCK", "2013-02-07T15:00:00Z")

    def typed(*words: str) -> str:
        assert run(list(words)) == 0, (words, capsys.readouterr().err)
        return capsys.readouterr().out

    for noun in NOUNS.keys() - YOUNGER:
        assert len(typed("get", noun, "-o", "csv").splitlines()) > 1, noun
    assert "slow@2" in typed("status")
    typed("ledger", "new-key", "--because", "the key was not kept")
    decision = typed("get", "decisions", "-n", "1", "-o", "csv").splitlines()[1].split(",")[0]
    assert "Approved by ops-lead" in typed("why", decision)
    typed("export", "slow@1", "-o", "slow1.zip")
    typed("verify", "slow1.zip")
    typed("verify")


def test_a_migration_on_a_filled_home_keeps_its_rows(kept: Settings, next_schema: Callable[..., None]) -> None:
    before = rows_of(url_of(kept))
    open_store(kept).close()
    next_schema()
    store = open_store(kept)
    after = rows_of(url_of(kept))
    assert after["alembic_version"] == [{"version_num": "9000_next"}]
    assert_kept(before, after, added=("risk", *ADDED))
    assert {row["risk"] for row in after["registry_models"]} == {"high"}
    assert verify(store).kind == "intact"
    store.close()


def test_a_failed_migration_leaves_a_filled_home_as_it_was(kept: Settings, next_schema: Callable[..., None]) -> None:
    open_store(kept).close()
    before = rows_of(url_of(kept))
    next_schema("raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        open_store(kept)
    assert rows_of(url_of(kept)) == before


def test_a_migrated_home_is_refused_by_the_version_before(kept: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Store = open_store(kept)
    with store.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9000_next'"))
    store.close()
    with pytest.raises(NewerDatabase) as caught:
        open_store(kept)
    assert "9000_next" in caught.value.why


@pytest.fixture
def next_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the program have one more migration than it has."""

    def add(more: str = "") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        text = NEXT.format(newest=migrate.revisions()[-1], more=more)
        (folder / "versions" / "9000_next.py").write_text(text, "utf-8")
        monkeypatch.setattr(migrate, "FOLDER", folder)

    return add
