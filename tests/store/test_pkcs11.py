"""The ledger's key in a token: SoftHSM speaks PKCS#11 as an HSM does."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.softhsm import BANK, LIBRARY, OTHER, PIN

from trimtab.kernel import Actor, Invalid, Refused, Unavailable, VirtualClock
from trimtab.store import Store, VerificationKind, open_store, replace_key, verify
from trimtab.store.ledger import pkcs11 as tokens
from trimtab.store.ledger.pkcs11 import TokenAddress, key_in_token, make_in_token

LEDGER = "trimtab.ledger/01TEST"


@pytest.fixture
def banked(store: Store, fill: Callable, clock: VirtualClock, softhsm: None) -> Iterator[Store]:
    """A store whose home knows the PIN, with three events under a key that still lies in a file."""
    fill(store, 3)
    store.close()
    with closing(open_store(msgspec.structs.replace(store.settings, ledger_pin=PIN), clock=clock)) as opened:
        yield opened


def key_files(store: Store) -> list[Path]:
    return sorted((store.settings.home_path / "keys").glob("ledger-*.key"), key=lambda file: len(file.name))


def test_a_ledger_goes_on_under_a_key_that_no_file_holds(
    banked: Store, fill: Callable, clock: VirtualClock, actor: Actor
) -> None:
    old = banked.checkpoint().key
    replaced = replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    assert fill(banked, 2).position == 5
    now, before = key_files(banked)
    assert now.read_text().startswith("pkcs11:token=bank;object=trimtab.ledger%2F")
    assert now.stat().st_mode & 0o777 == 0o600
    assert before.read_text().startswith("PRIVATE+KEY+")
    before.unlink()
    banked.close()
    with closing(open_store(banked.settings, clock=clock)) as other:
        assert fill(other, 1).position == 6
        assert other.checkpoint().key == replaced.new
        for trusted in (old, replaced.new):
            assert verify(other, keys=[trusted]).kind is VerificationKind.INTACT
        again = replace_key(other, actor=actor, because="every year", token=OTHER)
        assert again.by_old, "the token of before has signed that"
        assert fill(other, 1).position == 8
        assert verify(other, keys=[old]).kind is VerificationKind.INTACT
        back = replace_key(other, actor=actor, because="the token is given back")
        assert verify(other, keys=[old]).kind is VerificationKind.INTACT
        assert key_files(other)[0].read_text().startswith("PRIVATE+KEY+")
        assert back.by_old


def test_another_process_asks_the_token(banked: Store, actor: Actor) -> None:
    replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    banked.close()
    home = banked.settings.home_path
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
    environment |= {"TRIMTAB_HOME": str(home), "TRIMTAB_DATABASE": banked.settings.database}

    def typed(*words: str, pin: str | None) -> subprocess.CompletedProcess:
        known = environment if pin is None else environment | {"TRIMTAB_LEDGER_PIN": pin}
        command = [sys.executable, "-c", "from trimtab.cli.main import main; main()", *words]
        return subprocess.run(command, env=known, capture_output=True, text=True, cwd=home, check=False)

    assert typed("ledger", "new-key", "--because", "every year", "--in", BANK, pin=PIN).returncode == 0
    done = typed("verify", pin=PIN)
    assert (done.returncode, "intact" in done.stdout) == (0, True), done.stderr
    for pin, said in ((None, "TRIMTAB_LEDGER_PIN holds its PIN"), ("0000", "the token refuses the PIN")):
        refused = typed("ledger", "new-key", "--because", "every year", pin=pin)
        assert refused.returncode != 0
        assert said in " ".join(refused.stderr.split())
    assert typed("verify", pin=PIN).returncode == 0


def test_the_secret_half_never_leaves_the_token(softhsm: None) -> None:
    import pkcs11

    key = make_in_token(LEDGER, BANK, pin=PIN)
    address = TokenAddress.parse(key.text())
    session: Any = pkcs11.lib(LIBRARY).get_token(token_label="bank").open()
    kinds = (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.SECRET_KEY)
    found = [session.get_key(object_class=kind, id=address.id) for kind in kinds]
    for one in found:
        with pytest.raises(pkcs11.AttributeSensitive):
            one[pkcs11.Attribute.VALUE]
        assert not one[pkcs11.Attribute.EXTRACTABLE]


def test_a_key_in_a_token_is_the_same_whenever_it_is_asked(softhsm: None) -> None:
    key = make_in_token(LEDGER, BANK, pin=PIN)
    again = key_in_token(LEDGER, key.text(), pin=PIN)
    assert str(again.public) == str(key.public)
    assert again.text() == key.text()
    codes = [one.mac.copy() for one in (key, again, make_in_token(LEDGER, BANK, pin=PIN))]
    for code in codes:
        code.update(b"an event")
    same, as_before, another = (code.finalize() for code in codes)
    assert same == as_before != another


def test_threads_ask_one_token(softhsm: None) -> None:
    key = make_in_token(LEDGER, BANK, pin=PIN)
    texts = [f"text {n}\n" for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert all(key.public.signed(note) for note in pool.map(key.sign, texts))


def test_a_session_that_the_token_has_ended_is_opened_anew(softhsm: None) -> None:
    key = make_in_token(LEDGER, BANK, pin=PIN)
    tokens._sessions[TokenAddress.parse(BANK)].close()
    assert key.public.signed(key.sign("text\n"))


def test_keys_that_somebody_else_made_are_taken_by_their_name(softhsm: None) -> None:
    twice = f"trimtab.ledger/{secrets.token_hex(4)}"
    made = [make_in_token(twice, BANK, pin=PIN) for _ in range(2)]
    addresses = [TokenAddress.parse(key.text()) for key in made]
    named = f"pkcs11:token=bank;id={''.join(f'%{byte:02x}' for byte in addresses[0].id)}?module-path={LIBRARY}"
    assert str(make_in_token(twice, named, pin=PIN).public) == str(made[0].public)
    with pytest.raises(Unavailable, match="the token has 2 keys of this address"):
        make_in_token(LEDGER, f"pkcs11:token=bank;object={twice}?module-path={LIBRARY}", pin=PIN)
    with pytest.raises(Unavailable, match="the token has no keys of this address"):
        make_in_token(LEDGER, f"pkcs11:token=bank;object=nothing?module-path={LIBRARY}", pin=PIN)


def test_a_pin_that_is_wrong_is_asked_once(softhsm: None) -> None:
    key = make_in_token(LEDGER, OTHER, pin=PIN)
    tokens._forget(TokenAddress.parse(OTHER))
    wrong = secrets.token_hex(4)
    for _ in range(3):
        with pytest.raises(Refused, match="the token refuses the PIN"):
            key_in_token(LEDGER, key.text(), pin=wrong)
    assert len([one for one in tokens._refused if one[1] == wrong]) == 1
    assert str(key_in_token(LEDGER, key.text(), pin=PIN).public) == str(key.public)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"pkcs11:token=nowhere?module-path={LIBRARY}", "NoSuchToken"),
        ("pkcs11:token=bank?module-path=/usr/lib/no-such-library.so", "no-such-library"),
    ],
)
def test_a_token_that_is_not_there_is_named(softhsm: None, address: str, said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        make_in_token(LEDGER, address, pin=PIN)


def test_an_address_that_somebody_else_wrote_is_not_followed(banked: Store, actor: Actor) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    banked.close()
    os.chown(key_files(banked)[0], 65534, -1)
    # Who is root follows its own addresses only: whoever else wrote it would have root load their library.
    with pytest.raises(Refused, match="the address of a token is somebody else's"):
        open_store(banked.settings)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("softhsm:token=bank", "It begins with pkcs11:"),
        ("pkcs11:token=bank", "the whole path of the token's library"),
        ("pkcs11:token=bank?module-path=libsofthsm2.so", "the whole path of the token's library"),
        ("pkcs11:object=key?module-path=/lib/x.so", "It names no token"),
        ("pkcs11:token=bank?module-path=/lib/x.so&pin-value=1234", "The PIN is a secret of its own"),
        ("pkcs11:token=bank?module-path=/lib/x.so&pin-source=file:/pin", "The PIN is a secret of its own"),
        ("pkcs11:token=bank;slot-id=3?module-path=/lib/x.so", "and not 'slot-id'"),
        ("pkcs11:token=bank;token=other?module-path=/lib/x.so", "each once"),
        ("pkcs11:token=%FF?module-path=/lib/x.so", "is not UTF-8"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(address: str, why: str) -> None:
    with pytest.raises(Invalid, match="not the address of a key in a token") as refused:
        TokenAddress.parse(address)
    assert why in refused.value.why


def test_an_address_as_tools_print_it_is_understood() -> None:
    printed = (
        "pkcs11:model=SoftHSM%20v2;manufacturer=Nobody;type=private;serial=12ab;token=the%20bank?module-path=/lib/x.so"
    )
    assert TokenAddress.parse(printed) == TokenAddress(module="/lib/x.so", token="the bank", serial="12ab")


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@given(token=TEXTS.filter(bool), serial=TEXTS, label=TEXTS, id_=st.binary(max_size=9), library=TEXTS)
def test_an_address_says_what_it_was_made_from(token: str, serial: str, label: str, id_: bytes, library: str) -> None:
    address = TokenAddress(module=f"/{library}", token=token, serial=serial, object=label, id=id_)
    assert TokenAddress.parse(str(address)) == address
