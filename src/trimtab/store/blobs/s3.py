"""Blobs in a bucket of S3, or of a service that speaks like it. Needs the extra ``s3``.

Credentials and region come from where every AWS tool takes them (``AWS_ACCESS_KEY_ID``, ``AWS_REGION``, a role, ...).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from trimtab.kernel import Invalid, MissingExtra, NotFound, SystemClock, Unavailable, digest_of_bytes, is_digest
from trimtab.store.blobs.local import LocalBlobs
from trimtab.store.blobs.protocol import Bytes, Damaged, Listed, damaged, flat, hex_of, unknown, verified
from trimtab.store.failures import StoreAway

SCHEME = "s3://"
_PIECE = 5 << 20


class S3Blobs:
    """Blobs under ``s3://bucket/prefix``, with a local folder of those that were read as files.

    ``endpoint`` is the address of a service other than Amazon's. What lies there for longer than ``refresh`` is sent
    again when it is kept again, as a bucket cannot make a blob young otherwise: half of the age at which blobs that no
    row names are removed (None: they never are). A bucket and prefix belong to one project.
    """

    def __init__(self, url: str, *, endpoint: str, cache: Path, refresh: timedelta | None = None) -> None:
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
        self._refresh = refresh
        self._clock = SystemClock()

    def put(self, data: Bytes) -> str:
        plain = flat(data)  # obstore takes no buffer whose items are not plain bytes
        digest = digest_of_bytes(plain)
        if not self._is_there(digest, len(plain)):
            self._send(digest, plain)
        return digest

    def put_file(self, path: Path) -> str:
        # The copy in the cache is what was hashed, and nobody writes to it while it is sent.
        digest = self._cache.put_file(path)
        self._send_copy(digest)
        return digest

    def put_pieces(self, pieces: Iterable[bytes]) -> str:
        # What has no digest yet has no name in the bucket either: the cache holds it until it is sent.
        digest = self._cache.put_pieces(pieces)
        try:
            self._send_copy(digest)
        finally:
            self._cache.discard(digest)
        return digest

    def pieces(self, digest: str) -> Iterator[bytes]:
        with self._answering():
            yield from verified(digest, self._ask(digest, self._stream))

    def listed(self) -> Iterator[Listed]:
        with self._answering():
            for found in chain.from_iterable(self._obstore.list(self._store)):
                digest = "sha256:" + str(found["path"])[-65:].replace("/", "")
                if is_digest(digest):
                    yield Listed(digest, int(found["size"]), found["last_modified"])

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
        return self._head(digest) is not None

    def remove(self, digest: str, *, before: datetime) -> bool:
        # Looked at once more right before: S3 removes on no condition but that it was asked to.
        found = self._head(digest)
        if found is None or found["last_modified"] >= before:
            return False
        self._ask(digest, lambda path: self._obstore.delete(self._store, path))
        self._cache.discard(digest)
        return True

    def _head(self, digest: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._ask(digest, lambda path: self._obstore.head(self._store, path))
        except NotFound:
            return None
        return found

    def _is_there(self, digest: str, size: int) -> bool:
        """Say whether these bytes need not be sent: a part of a blob is sent anew, and so is an old one."""
        found = self._head(digest)
        if found is None or int(found["size"]) != size:
            return False
        return self._refresh is None or self._clock.now() - found["last_modified"] < self._refresh

    def _send_copy(self, digest: str) -> None:
        copy = self._cache.local_path(digest)
        if not self._is_there(digest, copy.stat().st_size):
            self._send(digest, copy)

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
        return self._cache.put_pieces(self._stream(path))

    def _stream(self, path: str) -> Iterator[bytes]:
        return map(bytes, self._obstore.get(self._store, path).stream(min_chunk_size=_PIECE))

    def _ask(self, digest: str, question: Callable[[str], Any]) -> Any:
        name = hex_of(digest)
        try:
            with self._answering():
                return question(f"{name[:2]}/{name[2:]}")
        except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
            raise unknown(digest) from None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except self._obstore.exceptions.NotFoundError:
            raise
        except self._obstore.exceptions.BaseError as error:
            known = self._obstore.exceptions
            refused = isinstance(error, known.PermissionDeniedError | known.UnauthenticatedError)
            raise (Unavailable if refused else StoreAway)(
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
