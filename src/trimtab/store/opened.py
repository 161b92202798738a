"""The opened store: database, blobs, ledger, clock and ids of one project."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url

from trimtab.kernel import Actor, Clock, Ids, Invalid, NotFound, Settings, load
from trimtab.store.admission import Closed, SchemaChanged
from trimtab.store.blobs import Blobs, blobs_of
from trimtab.store.change import AlreadyDone, Change, Journal
from trimtab.store.clocks import clock_of
from trimtab.store.database import Database
from trimtab.store.governed import OPTION, Governed
from trimtab.store.ledger.authentic import Authenticity
from trimtab.store.ledger.baselines import settle_ledger
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.pkcs11 import Tokens
from trimtab.store.ledger.postgres import PostgresLedger
from trimtab.store.ledger.records import Ledger, Receipt, Signed
from trimtab.store.ledger.sqlite import SqliteLedger
from trimtab.store.ledger.witness import Witness
from trimtab.store.migrate import bring_up_to_date

ORIGIN_PREFIX = "trimtab.ledger/"
DATABASE_FILE = "trimtab.db"
"""The database in a home, where the settings name no other."""


class Store:
    """Where the facts of one project live. Made by ``open_store``; safe to share between threads.

    ``origin`` names this ledger for ever; ``witness`` is what this home remembers of it.
    """

    def __init__(
        self, *, database: Database, blobs: Blobs, clock: Clock, settings: Settings, ids: Ids, origin: str = ""
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.clock = clock
        self.settings = settings
        self.ids = ids
        self.origin = origin
        self.keys = keys_of(settings)
        self.witness = Witness(settings.home_path / "witness")
        self.place = place_of(settings)
        self.first_origin = self.witness.first_at(self.place, origin) if origin else ""
        """The ledger that this home has first known in this place; another one is not taken for it."""
        self.authenticity = Authenticity(origin, self.keys, self.witness)
        self._ledger: Ledger = (SqliteLedger if database.is_sqlite else PostgresLedger)(database, self.authenticity)
        database.tell({OPTION: Governed(self.authenticity)})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for queries; it cannot write."""
        with self.database.read() as connection:
            yield connection

    def change(
        self, actor: Actor, because: str = "", *, durable: bool = True, key: str | None = None
    ) -> AbstractContextManager[Change]:
        """Change state: one transaction, committed with its events at the end of the block, or not at all.

        ``durable`` waits for the disk, as anything must that a person is told is done. ``key`` makes the change
        happen once: a second one with the same key raises ``AlreadyDone`` before the block begins. After the block
        ``change.receipt`` holds the position of the last event and the newest checkpoint. Raises ``NoEvent`` when rows
        were changed and nothing was recorded.
        """
        return _Changing(self, actor, because, durable=durable, key=key)

    def begin_change(
        self, connection: Connection, driver: Any, actor: Actor, because: str, *, key: str | None
    ) -> Change:
        """Begin a change in a write transaction. Raises ``AlreadyDone``."""
        if key is not None:
            self._refuse_repeated(connection, key)
        return Change(connection, driver, actor=actor, because=because, at=self.clock.now(), ids=self.ids, key=key)

    def enter(self, change: Change, *, durable: bool) -> Callable[[], Receipt] | None:
        """Let a change's events enter the ledger within its transaction; return what gives the receipt afterwards."""
        pending = change.finish()
        return self._ledger.enter(change.connection, pending, durable=durable) if pending else None

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Write journal tables (metric points, leases): one transaction, no event, not awaited on disk."""
        with self.database.write() as connection:
            yield Journal(connection)

    @property
    def has_key(self) -> bool:
        """Say whether this home can write, and can tell what the ledger says from what somebody else wrote."""
        return self.keys.has(self.origin)

    def sequence(self) -> None:
        """Give positions to committed events that still wait for one (PostgreSQL, after a crash of their author)."""
        self._ledger.sequence()

    def checkpoint(self) -> Signed:
        """Sign the ledger as it stands, unless that was done, and return the newest checkpoint with its public key."""
        signed = self._ledger.sign()
        if signed.note:
            self.witness.keep(signed.note, key=signed.key)
        return signed

    def close(self) -> None:
        """Sign what this process recorded, and close the database's connections."""
        try:
            with suppress(Closed, SchemaChanged):  # what can no longer be signed here was recorded all the same
                self._ledger.close()
        finally:
            self.database.dispose()

    def _refuse_repeated(self, connection: Connection, key: str) -> None:
        position = self._ledger.position_of_key(connection, key)
        if position is not None:
            raise AlreadyDone(
                f"the change {key[:80]!r} was made before", where=f"ledger position {position}", position=position
            )


class _Changing:
    """A change as a block: see ``Store.change``. A class and not a generator, as every change pays for it."""

    __slots__ = ("_actor", "_because", "_change", "_durable", "_key", "_store", "_writing")

    def __init__(self, store: Store, actor: Actor, because: str, *, durable: bool, key: str | None) -> None:
        self._store, self._actor, self._because, self._durable, self._key = store, actor, because, durable, key
        self._writing = store.database.write()

    def __enter__(self) -> Change:
        connection = self._writing.__enter__()
        try:
            self._change = self._store.begin_change(
                connection, self._writing.driver, self._actor, self._because, key=self._key
            )
        except BaseException as error:
            self._writing.__exit__(None, error, None)
            raise
        return self._change

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        acknowledge = None
        if error is None:
            try:
                acknowledge = self._store.enter(self._change, durable=self._durable)
            except BaseException as problem:
                self._change.end()
                self._writing.__exit__(None, problem, None)
                raise
        self._change.end()
        self._writing.__exit__(kind, error, trace)
        if acknowledge:
            self._change.receipt = receipt = acknowledge()
            if receipt.checkpoint:
                self._store.witness.keep(receipt.checkpoint, key=receipt.key)


def open_store(settings: Settings | None = None, *, clock: Clock | None = None, seed: int | None = None) -> Store:
    """Open (and, the first time, make) the store that the settings name, by default those of the current folder.

    Brings an older database up to date. ``clock`` overrides the one of the settings; with ``seed`` the ids are a pure
    function of clock and seed. Raises ``Unavailable`` when the database does not answer, ``Closed`` when it is not
    complete, ``HistoryMissing`` when it holds nothing and this home had a history.
    """
    settings = settings or load()[0]
    home = settings.home_path
    make_home(home)
    database = Database(url_of(settings))
    clock = clock or clock_of(settings)
    ids = Ids(clock, seed=seed)
    try:
        history, name = Witness(home / "witness").longest, f"{ORIGIN_PREFIX}{ids.new()}"
        origin = bring_up_to_date(database, name=name, keys=keys_of(settings), history=history)
        blobs = blobs_of(settings)
    except BaseException:
        database.dispose()  # nobody else can: the store that would close it is not made
        raise
    store = Store(database=database, blobs=blobs, clock=clock, settings=settings, ids=ids, origin=origin)
    try:
        settle_ledger(store)
    except BaseException:
        store.close()
        raise
    return store


def keys_of(settings: Settings) -> Keys:
    """Return the keys of a home."""
    tokens = Tokens(settings.pkcs11_library, settings.pkcs11_pin)
    return Keys(settings.home_path / "keys", command=settings.ledger_key_command, tokens=tokens)


class NoProject(NotFound):
    """Something is asked about a project, and there is none in the folder that the settings name."""

    code = "store.no-project"
    default_why = "Only a first 'trimtab apply', 'trimtab run' or 'trimtab up' makes a home; asking never does."


def existing_store(settings: Settings | None = None, *, clock: Clock | None = None) -> Store:
    """Open the store that the settings name, as ``open_store`` does, if it is there. Raises ``NoProject``."""
    settings = settings or load()[0]
    if not has_project(settings):
        raise no_project(settings)
    return open_store(settings, clock=clock)


def has_project(settings: Settings) -> bool:
    """Say whether there is a home, with a database where that is a file in it."""
    home = settings.home_path
    return home.is_dir() if settings.database else (home / DATABASE_FILE).is_file()


def no_project(settings: Settings) -> NoProject:
    """Return the error that says so, with what to type next."""
    if settings.database:
        next_ = "trimtab up, which makes the home of this machine; or set TRIMTAB_SERVER to ask the server"
    elif settings.home != Settings().home:
        next_ = "correct it, or look in this folder, without --home and TRIMTAB_HOME: trimtab status"
    elif Path(settings.project).is_file():
        next_ = "trimtab apply"
    else:
        next_ = "trimtab init; or, for a project elsewhere, go to its folder, or set TRIMTAB_SERVER"
    return NoProject(f"there is no project in {settings.home}", where="setting home", next=next_)


def url_of(settings: Settings) -> str:
    """Return the address of a database, also of the one in the home."""
    return settings.database or f"sqlite:///{settings.home_path / DATABASE_FILE}"


def place_of(settings: Settings) -> str:
    """Return the name of the place of a database, without a password: the home itself, or its address."""
    return make_url(settings.database).render_as_string(hide_password=True) if settings.database else "home"


def make_home(home: Path) -> None:
    """Make the home's folder. Raises ``Invalid`` when it cannot be one, or cannot be written."""
    try:
        if not home.exists():
            home.mkdir(parents=True, exist_ok=True)
            # What lies here is no code: no commit of the user's project, and no run's note of its changes, is about it.
            (home / ".gitignore").write_text("*\n", "utf-8")
        problem = "" if os.access(home, os.W_OK | os.X_OK) else "it may not be written"
    except OSError as error:
        problem = f"{error.strerror}"
    if problem:
        raise Invalid(
            f"{home.name} cannot be the home of a project",
            where="setting home",
            why=f"Trimtab keeps its database, blobs and keys in {home}; the system says: {problem}.",
            next="name a folder that you may write: trimtab --home .trimtab status, or TRIMTAB_HOME",
        )
