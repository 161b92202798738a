"""Blobs in a bucket of S3, or of a service that speaks like it. Needs the extra ``s3``.

Credentials and region come from where every AWS tool takes them (``AWS_ACCESS_KEY_ID``, ``AWS_REGION``, a role, ...).
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from trimtab.kernel import Invalid, MissingExtra, NotFound, Unavailable, digest_of_bytes
from trimtab.store.blobs.local import LocalBlobs
from trimtab.store.blobs.protocol import Bytes, Damaged, damaged, flat, hex_of, unknown

SCHEME = "s3://"
_PIECE = 5 << 20


class S3Blobs:
    """Blobs under ``s3://bucket/prefix``, with a local folder of those that were read as files.

    ``endpoint`` is the address of a service other than Amazon's.
    """

    def __init__(self, url: str, *, endpoint: str, cache: Path) -> None:
        self._obstore = _imported()
        bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not bucket:
            raise Invalid(
                f"{url!r} is not the address of a blob store",
                where="setting blobs",
                why="Blobs lie in local files (an empty setting) or in a bucket.",
                next="write s3://bucket or s3://bucket/prefix",
            )
        options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        self._store = self._obstore.store.S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": "60s", "connect_timeout": "5s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            **options,
        )
        self._cache = LocalBlobs(cache)

    def put(self, data: Bytes) -> str:
        plain = flat(data)  # obstore takes no buffer whose items are not plain bytes
        digest = digest_of_bytes(plain)
        if self._size_of(digest) != len(plain):
            self._send(digest, plain)
        return digest

    def put_file(self, path: Path) -> str:
        # The copy in the cache is what was hashed, and nobody writes to it while it is sent.
        digest = self._cache.put_file(path)
        copy = self._cache.local_path(digest)
        if self._size_of(digest) != copy.stat().st_size:
            self._send(digest, copy)
        return digest

    def get(self, digest: str) -> bytes:
        data: bytes = self._ask(digest, lambda path: self._obstore.get(self._store, path).bytes().to_bytes())
        if digest_of_bytes(data) != digest:
            raise damaged(digest)
        return data

    def local_path(self, digest: str) -> Path:
        if self._cache.has(digest):
            with suppress(Damaged):
                return self._cache.local_path(digest)
            self._cache.discard(digest)
        found = self._ask(digest, self._fetch)
        if found != digest:
            self._cache.discard(found)
            raise damaged(digest)
        return self._cache.local_path(digest)

    def check(self, digest: str) -> None:
        try:
            self._cache.check(digest)
        except (NotFound, Damaged):
            self.local_path(digest)

    def has(self, digest: str) -> bool:
        return self._size_of(digest) is not None

    def _size_of(self, digest: str) -> int | None:
        """Return the bytes that lie under a digest, None when there are none: a part of a blob is sent anew."""
        try:
            return int(self._ask(digest, lambda path: self._obstore.head(self._store, path))["size"])
        except NotFound:
            return None

    def _send(self, digest: str, body: memoryview | Path) -> None:
        try:
            self._ask(digest, lambda path: self._obstore.put(self._store, path, body, chunk_size=_PIECE))
        except NotFound:
            raise Unavailable(
                "the blob store has no such bucket",
                where="setting blobs",
                why="The service answers that there is nothing under its name.",
                next="create the bucket, or correct the settings blobs and blobs_endpoint",
            ) from None

    def _fetch(self, path: str) -> str:
        return self._cache.put_pieces(
            bytes(piece) for piece in self._obstore.get(self._store, path).stream(min_chunk_size=_PIECE)
        )

    def _ask(self, digest: str, question: Callable[[str], Any]) -> Any:
        name = hex_of(digest)
        try:
            return question(f"{name[:2]}/{name[2:]}")
        except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
            raise unknown(digest) from None
        except self._obstore.exceptions.BaseError as error:
            raise Unavailable(
                "the blob store does not answer as it should",
                where="setting blobs",
                why=f"It says: {type(error).__name__.removesuffix('Error')}.",
                next="check the settings blobs and blobs_endpoint and the AWS_... variables, then try again",
            ) from error


def _imported() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError:
        raise MissingExtra("blobs in S3 cannot be used", where="setting blobs", package="obstore", extra="s3") from None
    return obstore
