"""Digests name bytes."""

import hashlib
from pathlib import Path

from trimtab.kernel import digest_of, digest_of_bytes, digest_of_file, is_digest


def test_a_digest_is_sha_256(tmp_path: Path) -> None:
    data = b"flights" * 100_000
    (tmp_path / "file").write_bytes(data)
    assert digest_of_bytes(data) == "sha256:" + hashlib.sha256(data).hexdigest() == digest_of_file(tmp_path / "file")
    assert digest_of("a") == digest_of_bytes(b'"a"')


def test_what_is_a_digest() -> None:
    good = digest_of_bytes(b"")
    assert is_digest(good)
    for text in (
        "",
        good[:-1],
        good + "0",
        good.upper(),
        good.removeprefix("sha256:"),
        "sha256:" + "g" * 64,
        "../" + good,
    ):
        assert not is_digest(text)
