"""What somebody does behind Trimtab's back: to the database with SQL, to blobs by writing where they lie."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from sqlalchemy import Connection, create_engine, make_url
from tests.journeys.shell import Shell
from tests.waiting import PATIENCE_S

from trimtab.store.blobs import blobs_of


@contextmanager
def sql(shell: Shell) -> Iterator[Connection]:
    """Yield a connection of one's own to a project's database, in a transaction."""
    if shell.database:
        engine = create_engine(make_url(shell.database).set(drivername="postgresql+psycopg"))
    else:
        engine = create_engine(f"sqlite:///{shell.home / 'trimtab.db'}", connect_args={"timeout": PATIENCE_S})
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def read_blob(shell: Shell, digest: str) -> bytes:
    """Return the bytes under a digest."""
    return blobs_of(shell.settings).get(digest)


def swap_blob(shell: Shell, digest: str, data: bytes) -> None:
    """Put other bytes under a digest: in the folder, or in the bucket and in what this home has of it."""
    name = digest.removeprefix("sha256:")
    key = f"{name[:2]}/{name[2:]}"
    settings = shell.settings
    file = shell.home / ("cache/blobs" if settings.blobs else "blobs") / key
    if not settings.blobs or file.exists():
        file.chmod(0o644)
        file.write_bytes(data)
    if settings.blobs:
        bucket, _, prefix = settings.blobs.removeprefix("s3://").partition("/")
        s3 = boto3.client("s3", endpoint_url=settings.blobs_endpoint)
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)


def damage_blob(shell: Shell, digest: str) -> None:
    """Change one bit under a digest."""
    data = bytearray(read_blob(shell, digest))
    data[len(data) // 2] ^= 1
    swap_blob(shell, digest, bytes(data))
