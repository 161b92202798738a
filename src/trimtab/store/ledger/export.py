"""Write the ledger to one file that can be verified anywhere, with nothing but Trimtab and a public key.

JSON lines: a header with the checkpoints, then each entry exactly as the tree hashes it.
"""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import select

from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.head import size_of
from trimtab.store.ledger.records import Signed
from trimtab.store.ledger.streaming import streamed
from trimtab.store.tables import ledger_checkpoints, ledger_events

if TYPE_CHECKING:
    from trimtab.store.opened import Store


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of an export."""

    format: Literal["trimtab-ledger"]
    version: Literal[1]
    origin: str
    size: int
    checkpoints: list[Signed]


def export_log(store: "Store", path: Path) -> Header:
    """Write every event and checkpoint of a store's ledger to a file; return its header.

    The file appears when it is complete, and replaces one of the same name.
    """
    store.sequence()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with store.read() as connection:
        size = size_of(connection)
        columns = ledger_checkpoints.c
        signed = connection.execute(select(columns.size, columns.note, columns.key).order_by(columns.size))
        header = Header(
            format="trimtab-ledger",
            version=1,
            origin=store.origin,
            size=size,
            checkpoints=[Signed(*row) for row in signed],
        )
        position = ledger_events.c.position
        query = select(position, ledger_events.c.body).order_by(position)
        try:
            with temporary.open("wb") as file, streamed(connection, query) as bodies:
                file.write(msgspec.json.encode(header) + b"\n")
                file.writelines(entry(body.encode(), at) + b"\n" for at, body in bodies)
            store.database.flush()  # who keeps the checkpoints must not know of more than a power failure leaves here
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return header
