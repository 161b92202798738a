"""Content-addressed bytes: what is written under a digest is what is read under it, or an error."""

from trimtab.kernel import Settings, span_of
from trimtab.store.blobs.local import LocalBlobs
from trimtab.store.blobs.protocol import Blobs, Damaged, Listed
from trimtab.store.blobs.s3 import S3Blobs

__all__ = ["Blobs", "Damaged", "Listed", "LocalBlobs", "S3Blobs", "blobs_of"]


def blobs_of(settings: Settings) -> Blobs:
    """Return the blob store that the settings name."""
    if not settings.blobs:
        return LocalBlobs(settings.home_path / "blobs")
    age = span_of(settings.keep_attempts)
    return S3Blobs(
        settings.blobs, endpoint=settings.blobs_endpoint, cache=settings.home_path / "cache" / "blobs",
        refresh=age / 2 if age is not None else None,
    )  # fmt: skip
