"""Signed notes and checkpoints, against the examples of their specifications."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import Invalid
from trimtab.store import Checkpoint, PublicKey
from trimtab.store.ledger.notes import SigningKey

# The example of Go's golang.org/x/mod/sumdb/note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example of c2sp.org/tlog-checkpoint.
C2SP = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
KEY = SigningKey.make("trimtab.ledger/01TEST")


def test_the_note_of_go_is_made_and_checked() -> None:
    key = SigningKey.parse(GO_PRIVATE)
    assert str(key.public) == GO_PUBLIC
    assert key.text() == GO_PRIVATE + "\n"
    assert key.sign(GO_TEXT) == GO_NOTE
    assert PublicKey.parse(GO_PUBLIC).signed(GO_NOTE) is True
    assert PublicKey.parse(GO_PUBLIC).signed(GO_NOTE.replace("answer", "problem")) is False


def test_the_checkpoint_of_the_specification_is_read() -> None:
    checkpoint = Checkpoint.parse(C2SP)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a9186")
    assert checkpoint.note == C2SP


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back_as_it_was_signed(size: int, root: bytes) -> None:
    note = KEY.checkpoint(size, root)
    checkpoint = Checkpoint.parse(note)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (KEY.public.name, size, root)
    assert PublicKey.parse(str(KEY.public)).signed(note) is True


@given(st.data())
def test_any_changed_character_is_found(data: st.DataObject) -> None:
    note = KEY.checkpoint(300, b"r" * 32)
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters().filter(lambda c: c != note[at]))
    changed = note[:at] + other + note[at + 1 :]
    with suppress(Invalid):
        assert KEY.public.signed(changed) is not True


def test_a_signature_of_another_key_is_not_ours() -> None:
    other = SigningKey.make(KEY.public.name)
    note = KEY.checkpoint(1, b"r" * 32)
    assert other.public.signed(note) is None
    both = note + other.checkpoint(1, b"r" * 32).rpartition("\n\n")[2]
    assert KEY.public.signed(both) is True
    assert other.public.signed(both) is True


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "origin\n1\n\n— name AAAA\n",
        C2SP.replace("20852163", "020852163"),
        C2SP.replace("20852163", "-1"),
        C2SP.replace("20852163", "２"),
        C2SP.replace("CsUYapGG", "CsUYapG"),
        C2SP.replace("—", "-"),
        C2SP.removesuffix("\n"),
        C2SP.replace("\n\n", "\n\x01\n\n"),
        C2SP.replace("\n2085", "\n\n2085"),
        "a" * 70_000 + C2SP,
    ],
)
def test_what_is_no_checkpoint_is_refused(note: str) -> None:
    with pytest.raises(Invalid) as caught:
        Checkpoint.parse(note)
    assert "checkpoint" in caught.value.what


@pytest.mark.parametrize(
    "text", ["", "a+b+c", GO_PUBLIC.replace("c74f20a3", "c74f20a4"), GO_PUBLIC[:-4], GO_PUBLIC.replace("ARpc", "AhpC")]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        PublicKey.parse(text)


def test_a_broken_private_key_is_not_shown() -> None:
    with pytest.raises(Invalid) as caught:
        SigningKey.parse(GO_PRIVATE.replace("c74f20a3", "c74f20a4"))
    assert "AYEKFALVFGyNhPJ" not in str(caught.value)
