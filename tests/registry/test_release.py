"""Releases: signed, issued once, held only as long as every word and byte is as it was, and ended by revoking."""

import base64
import shutil
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.forging import with_key
from tests.registry.cases import BOB, approved, registered

from trimtab.kernel import (
    Actor,
    Conflict,
    Invalid,
    Refused,
    Settings,
    TrimtabError,
    VirtualClock,
    canonical,
    digest_of_bytes,
)
from trimtab.registry import (
    ApprovalVoid,
    Artifact,
    Limits,
    ModelMissing,
    NotApproved,
    Release,
    ReleaseKeys,
    ReleaseMissing,
    ReleaseRefused,
    Statement,
    approve,
    check_release,
    check_signature,
    get_release,
    key_id,
    list_releases,
    public_pem,
    read_public_key,
    reject,
    release_for,
    revoke_release,
)
from trimtab.store import ReasonMissing, Store, StoreAway, events, open_store


def test_a_release_says_what_the_loader_needs(store: Store) -> None:
    version, approval = approved(store)
    release = release_for(store, "late@1")
    said = release.statement
    assert (said.type, release.ref, said.format) == ("trimtab.release/v2", "late@1", "skops")
    assert (said.artifact, said.signature, said.sample) == (
        version.artifacts.model, version.artifacts.signature, version.artifacts.sample,
    )  # fmt: skip
    assert (said.view, said.features, said.task) == ("delay", version.lineage.features, "classification")
    assert (said.covered, said.approval, said.approved_by) == (approval.bound_to, approval.id, "bob")
    position = next(event.position for event in events(store) if event.id == approval.event_id)
    assert said.position == position
    assert (said.endpoint, said.environment, said.expires_at) == ("late", "local", msgspec.UNSET)
    assert msgspec.json.decode(msgspec.json.encode(release), type=Release) == release
    check_release(store, release)
    check_signature(ReleaseKeys.of(store).trusted()[release.key], release)
    assert get_release(store, said.id) == release


def test_a_release_is_issued_once(store: Store) -> None:
    approved(store)
    first = release_for(store, "late@1")
    before = len(events(store))
    assert release_for(store, "late@1") == first
    assert list_releases(store, "late@1") == (first,)
    assert len(events(store)) == before
    assert events(store, type="registry.release-issued")[0].after == first.digest


def test_many_who_ask_at_once_get_one_release(store: Store) -> None:
    approved(store)
    found: list[Release] = []
    threads = [threading.Thread(target=lambda: found.append(release_for(store, "late@1"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({release.digest for release in found}) == 1


def test_only_an_approval_that_holds_is_released(sqlite_store: Store) -> None:
    version = registered(sqlite_store)
    with pytest.raises(NotApproved, match="late@1 is candidate, not approved"):
        release_for(sqlite_store, version)
    with sqlite_store.change(BOB, "x") as change:
        approve(change, version)
    path = sqlite_store.blobs.local_path(version.artifacts.model)
    path.chmod(0o644)
    path.write_bytes(b"modeL")
    with pytest.raises(ApprovalVoid, match="the approval of late@1 is void") as raised:
        release_for(sqlite_store, version)
    assert "the model" in raised.value.why
    assert list_releases(sqlite_store, version) == ()


def test_a_blob_store_that_is_away_ends_no_release(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")

    def away(*_: object) -> Any:
        raise StoreAway("the blob store is away", where="setting blobs", why="It says so.", next="try again")

    for ask in ("check", "get"):  # the second is how the report of the evaluation is read
        with monkeypatch.context() as patched:
            patched.setattr(sqlite_store.blobs, ask, away)
            with pytest.raises(StoreAway):
                check_release(sqlite_store, release)
    check_release(sqlite_store, release)


def test_a_release_ends_with_the_bytes(sqlite_store: Store) -> None:
    version, _ = approved(sqlite_store)
    release = release_for(sqlite_store, version)
    path = sqlite_store.blobs.local_path(version.lineage.data[0])
    path.chmod(0o644)
    path.write_bytes(b"other rows")
    for ask in (lambda: check_release(sqlite_store, release), lambda: release_for(sqlite_store, version)):
        with pytest.raises(ApprovalVoid, match="the data snapshot"):
            ask()


OTHER = digest_of_bytes(b"other")
WORDS: dict[str, Any] = {
    "id": "0" * 26, "model": "early", "version": 2, "format": "onnx", "artifact": OTHER, "also": (), "signature": OTHER,
    "sample": None, "task": "regression", "view": "other", "features": OTHER, "evaluation": OTHER, "covered": OTHER,
    "approval": "0" * 26, "approved_by": "ann", "self_approved": True, "position": 0, "limits": Limits(percent=1.0),
    "endpoint": "early", "environment": "production", "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_one_changed_word_breaks_the_signature(sqlite_store: Store, word: str) -> None:
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")
    statement = msgspec.structs.replace(release.statement, **{word: WORDS[word]})
    assert statement != release.statement
    with pytest.raises(ReleaseRefused, match="is not signed by this key"):
        check_release(sqlite_store, msgspec.structs.replace(release, statement=statement))


def test_every_word_is_tried() -> None:
    assert set(WORDS) == set(Statement.__struct_fields__) - {"type", "issued_at"}


def _signed_anew(store: Store, release: Release, **words: Any) -> Release:
    key = ReleaseKeys.of(store).signing()
    statement = msgspec.structs.replace(release.statement, **words)
    signature = base64.b64encode(key.sign(canonical(statement))).decode()
    return Release(statement=statement, key=key_id(key.public_key()), signature=signature)


@pytest.mark.parametrize("word", sorted(set(WORDS) - {"id"}))
def test_a_right_signature_on_other_words_is_no_release(sqlite_store: Store, word: str) -> None:
    """Someone uses the key by hand, and even writes the result into the database."""
    approved(sqlite_store)
    registered(sqlite_store, model=b"second")
    forged = _signed_anew(sqlite_store, release_for(sqlite_store, "late@1"), **{word: WORDS[word]})
    with pytest.raises(ReleaseRefused, match="was never issued here"):
        check_release(sqlite_store, forged)
    with_key(sqlite_store, "registry_releases", release=msgspec.json.encode(forged).decode(), digest=forged.digest)
    with pytest.raises(TrimtabError) as raised:
        check_release(sqlite_store, forged)
    # A word about which version it is leads to that one, which is not there or not approved.
    expected = {"model": ModelMissing, "version": NotApproved}.get(word, ReleaseRefused)
    assert raised.type is expected


@pytest.mark.parametrize("signature", ["", "!", "AAAA", base64.b64encode(bytes(64)).decode()])
def test_a_signature_that_is_none_is_refused(sqlite_store: Store, signature: str) -> None:
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")
    with pytest.raises(ReleaseRefused, match="is not signed by this key"):
        check_release(sqlite_store, msgspec.structs.replace(release, signature=signature))


def test_a_revoked_release_stays_revoked(store: Store) -> None:
    approved(store)
    release = release_for(store, "late@1")
    with store.change(Actor("eve"), "leaks") as change:
        revoke_release(change, release.statement.id)
    for ask in (lambda: check_release(store, release), lambda: release_for(store, "late@1")):
        with pytest.raises(ReleaseRefused, match=r"was revoked. By eve at .*: leaks"):
            ask()
    with pytest.raises(Conflict, match="was revoked before"), store.change(BOB, "again") as change:
        revoke_release(change, release.statement.id)
    with pytest.raises(ReleaseMissing), store.change(BOB, "x") as change:
        revoke_release(change, "none")
    with pytest.raises(ReasonMissing), store.change(BOB) as change:
        revoke_release(change, release.statement.id)
    with pytest.raises(ReleaseMissing):
        get_release(store, "none")


def test_limits_of_the_approval_are_in_the_release(sqlite_store: Store) -> None:
    version = registered(sqlite_store)
    with sqlite_store.change(BOB, "only a little") as change:
        approve(change, version, limits=Limits(stages=("shadow", "canary"), percent=25.0))
    assert release_for(sqlite_store, version).statement.limits == Limits(stages=("shadow", "canary"), percent=25.0)


def test_a_release_of_the_first_form_is_still_read(sqlite_store: Store) -> None:
    """Older homes hold statements that name no endpoint, no environment and no end."""
    approved(sqlite_store)
    nothing = dict.fromkeys(("endpoint", "environment", "expires_at"), msgspec.UNSET)
    first = _signed_anew(sqlite_store, release_for(sqlite_store, "late@1"), type="trimtab.release/v1", **nothing)
    assert b"endpoint" not in canonical(first.statement)
    with_key(sqlite_store, "registry_releases", release=msgspec.json.encode(first).decode(), digest=first.digest)
    check_release(sqlite_store, first)
    assert release_for(sqlite_store, "late@1") == first


def test_a_release_holds_at_the_endpoint_that_was_approved_and_for_as_long(store: Store, clock: VirtualClock) -> None:
    version = registered(store, expires_s=86400.0)
    with store.change(BOB, "for the others") as change:
        approval = approve(change, version, limits=Limits(endpoint="early"))
    said = release_for(store, version).statement
    assert (said.endpoint, said.expires_at) == ("early", approval.at + timedelta(days=1))
    clock.sleep(3600)
    with store.change(BOB, "looked at it again") as change:
        again = approve(change, version)
    before = get_release(store, said.id)
    check_release(store, before)  # until its successor is there, and after
    after = release_for(store, version)
    assert (after.statement.approval, after.statement.expires_at) == (again.id, again.at + timedelta(days=1))
    check_release(store, before)
    with store.change(BOB, "no more") as change:
        reject(change, version)
    for release in (before, after):
        with pytest.raises(ReleaseRefused, match="was revoked"):
            check_release(store, release)


def test_a_release_holds_in_one_environment(store: Store) -> None:
    approved(store)
    here = release_for(store, "late@1")
    named = msgspec.structs.replace(store.settings, environment="production")
    store.settings = named
    with pytest.raises(ReleaseRefused, match="is for the environment local") as caught:
        check_release(store, here)
    assert "trimtab serve late@1" in caught.value.next
    there = release_for(store, "late@1")
    assert (there.statement.environment, there.statement.approval) == ("production", here.statement.approval)
    check_release(store, there)
    assert release_for(store, "late@1") == there
    assert len(list_releases(store, "late@1")) == 2


def test_a_release_admits_its_bytes_and_no_others(sqlite_store: Store) -> None:
    version, _ = approved(sqlite_store)
    release = release_for(sqlite_store, version)
    assert release.admit(b"model") == Artifact(format="skops", digest=version.artifacts.model)
    assert release.admit(b"onnx of model").format == "onnx"
    for data in (b"", b"modeL", b"sample"):
        with pytest.raises(ReleaseRefused, match="covers other bytes"):
            release.admit(data)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_the_key_is_its_owners_alone(sqlite_store: Store) -> None:
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")
    folder = sqlite_store.settings.home_path / "keys"
    private, public = folder / "release.ed25519", folder / "release.ed25519.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert key_id(read_public_key(public.read_bytes(), where="test")) == release.key
    assert b"PRIVATE" not in public.read_bytes()
    private.chmod(0o640)
    with pytest.raises(Refused, match="open to others"):
        ReleaseKeys.of(sqlite_store).signing()


def test_two_who_make_the_key_at_once_agree(tmp_path: Path) -> None:
    keys: list[bytes] = []

    def make() -> None:
        keys.append(ReleaseKeys(tmp_path / "keys").signing().private_bytes_raw())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["release.ed25519", "release.ed25519.pub"]


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "release.ed25519").write_bytes(content)
    (folder / "release.ed25519").chmod(0o600)
    with pytest.raises(Invalid, match="cannot be read"):
        ReleaseKeys(folder).signing()
    with pytest.raises(Invalid, match="a public key cannot be read"):
        read_public_key(content, where="test")


def test_a_host_that_only_checks_needs_no_private_key(sqlite_store: Store) -> None:
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")
    (sqlite_store.settings.home_path / "keys" / "release.ed25519").unlink()
    check_release(sqlite_store, release)
    (sqlite_store.settings.home_path / "keys" / "release.ed25519.pub").unlink()
    with pytest.raises(ReleaseRefused):
        check_release(sqlite_store, release)


def test_another_home_is_trusted_only_by_its_key(sqlite_store: Store, tmp_path: Path, clock: VirtualClock) -> None:
    """Two hosts over one database and one blob store: each has its own home and release key."""
    approved(sqlite_store)
    release = release_for(sqlite_store, "late@1")
    home = sqlite_store.settings.home_path
    settings = Settings(home=str(tmp_path / "other"), database=f"sqlite:///{home / 'trimtab.db'}")
    shutil.copytree(home / "keys", tmp_path / "other" / "keys", ignore=shutil.ignore_patterns("release*"))
    other = open_store(settings, clock=clock)
    other.blobs = sqlite_store.blobs
    try:
        with pytest.raises(ReleaseRefused, match=r"copy keys/release\.ed25519\.pub of the home .* to keys/trusted/"):
            check_release(other, release)
        trusted = other.settings.home_path / "keys" / "trusted"
        trusted.mkdir(parents=True)
        (trusted / "first.pub").write_bytes((home / "keys" / "release.ed25519.pub").read_bytes())
        check_release(other, release)
        assert release_for(other, "late@1") == release
        (trusted / "first.pub").write_bytes(public_pem(Ed25519PrivateKey.generate().public_key()))
        with pytest.raises(ReleaseRefused):
            check_release(other, release)
    finally:
        other.close()


def test_a_repeatable_key_is_the_same_in_every_home_and_replaces_none(tmp_path: Path) -> None:
    first, second = ReleaseKeys(tmp_path / "a"), ReleaseKeys(tmp_path / "b")
    for keys in (first, second):
        keys.make_repeatable(bytes(32))
    assert list(first.trusted()) == list(second.trusted())
    own = ReleaseKeys(tmp_path / "c")
    before = key_id(own.signing().public_key())
    own.make_repeatable(bytes(32))
    assert list(own.trusted()) == [before]
