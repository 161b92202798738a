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
from tests.store.softhsm import BANK, LIBRARY, OTHER, PIN, SETTINGS

from trimtab.kernel import Actor, Invalid, VirtualClock
from trimtab.store import KeyMissing, Store, VerificationKind, back_up, open_store, rehearse, replace_key, verify
from trimtab.store.ledger import pkcs11 as module
from trimtab.store.ledger.pkcs11 import TokenAddress, TokenAway, Tokens

LEDGER = "trimtab.ledger/01TEST"
TOKENS = Tokens(LIBRARY, PIN)


@pytest.fixture
def banked(store: Store, fill: Callable, clock: VirtualClock, softhsm: None) -> Iterator[Store]:
    """A store whose home knows the token's PIN, with three events under a key that still lies in a file."""
    fill(store, 3)
    store.close()
    with closing(open_store(msgspec.structs.replace(store.settings, **SETTINGS), clock=clock)) as opened:
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
    environment |= {"TRIMTAB_PKCS11_LIBRARY": LIBRARY}

    def typed(*words: str, pin: str | None) -> subprocess.CompletedProcess:
        known = environment if pin is None else environment | {"TRIMTAB_PKCS11_PIN": pin}
        command = [sys.executable, "-c", "from trimtab.cli.main import main; main()", *words]
        return subprocess.run(command, env=known, capture_output=True, text=True, cwd=home, check=False)

    assert typed("ledger", "new-key", "--because", "every year", "--in", BANK, pin=PIN).returncode == 0
    done = typed("verify", pin=PIN)
    assert (done.returncode, "intact" in done.stdout) == (0, True), done.stderr
    for pin, said in ((None, "set TRIMTAB_PKCS11_PIN"), ("0000", "the token refuses the PIN")):
        refused = typed("ledger", "new-key", "--because", "every year", pin=pin)
        assert refused.returncode != 0
        assert said in " ".join(refused.stderr.split())
    assert typed("verify", pin=PIN).returncode == 0


def test_the_secret_half_never_leaves_the_token(softhsm: None) -> None:
    import pkcs11

    key = TOKENS.make(LEDGER, BANK)
    address = TokenAddress.parse(key.text())
    session: Any = module.open_session(TOKENS, address.device)
    kinds = (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.SECRET_KEY)
    found = [session.get_key(object_class=kind, id=address.id) for kind in kinds]
    for one in found:
        with pytest.raises(pkcs11.AttributeSensitive):
            one[pkcs11.Attribute.VALUE]
        assert not one[pkcs11.Attribute.EXTRACTABLE]


def test_a_key_in_a_token_is_the_same_whenever_it_is_asked(softhsm: None) -> None:
    key = TOKENS.make(LEDGER, BANK)
    again = TOKENS.key(LEDGER, key.text())
    assert str(again.public) == str(key.public)
    assert again.text() == key.text()
    codes = [one.mac.copy() for one in (key, again, TOKENS.make(LEDGER, BANK))]
    for code in codes:
        code.update(b"an event")
    same, as_before, another = (code.finalize() for code in codes)
    assert same == as_before != another


def test_threads_ask_one_token_while_its_sessions_end(softhsm: None) -> None:
    keys = [TOKENS.make(LEDGER, BANK) for _ in range(2)]

    def ask(n: int) -> bool:
        if n % 20 == 0:
            with module._lock:
                module._forget(TOKENS, TokenAddress.parse(BANK))
        key = keys[n % 2]
        return bool(key.public.signed(key.sign(f"text {n}\n")))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_session_that_the_token_has_ended_is_opened_anew(softhsm: None) -> None:
    key = TOKENS.make(LEDGER, BANK)
    module._sessions[TokenAddress.parse(BANK), TOKENS].close()
    assert key.public.signed(key.sign("text\n"))


def test_keys_that_somebody_else_made_are_taken_by_their_name(softhsm: None) -> None:
    name = f"trimtab.ledger/{secrets.token_hex(4)}"
    first = TOKENS.make(name, BANK)
    by_label = TOKENS.make(name, f"{BANK};object={name}")
    assert (str(by_label.public), by_label.text()) == (str(first.public), first.text()), "its id is remembered"
    second = TOKENS.make(name, BANK)
    with pytest.raises(Invalid, match="the token has 2 keys of this address"):
        TOKENS.make(name, f"{BANK};object={name}")
    id_ = "".join(f"%{byte:02x}" for byte in TokenAddress.parse(second.text()).id)
    assert str(TOKENS.make(name, f"{BANK};id={id_}").public) == str(second.public)
    with pytest.raises(TokenAway, match="the token shows no key of this address"):
        TOKENS.make(name, f"{BANK};object=nothing")
    with pytest.raises(Invalid, match="not the address of a key") as refused:
        TOKENS.key(name, f"{BANK};object={name}")
    assert "another key may come to have the same name" in refused.value.why


def test_a_key_that_can_be_taken_out_is_refused(softhsm: None) -> None:
    import pkcs11

    id_ = secrets.token_bytes(8)
    address = str(TokenAddress(token="bank", id=id_))
    session: Any = module.open_session(TOKENS, TokenAddress.parse(BANK), writing=True)
    curve = {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("1.3.101.112")}
    open_ = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
    session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True).generate_keypair(
        mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, id=id_, private_template=open_
    )
    use = pkcs11.MechanismFlag.SIGN
    session.generate_key(pkcs11.KeyType.GENERIC_SECRET, 256, store=True, id=id_, capabilities=use)
    session.close()
    with pytest.raises(Invalid, match="the token gives this key away"):
        TOKENS.make(LEDGER, address)


def test_a_pin_that_is_wrong_is_asked_once(softhsm: None) -> None:
    key = TOKENS.make(LEDGER, OTHER)
    module._forget(TOKENS, TokenAddress.parse(OTHER))  # who has let one session in lets all of the process in
    wrong = secrets.token_hex(4)
    with pytest.raises(TokenAway, match="the token refuses the PIN"):
        Tokens(LIBRARY, wrong).key(LEDGER, key.text())
    session: Any = module.open_session(TOKENS, TokenAddress.parse(OTHER), writing=True)
    session.set_pin(PIN, wrong)
    try:  # the token would take it now, and is not asked
        with pytest.raises(TokenAway, match="the token refuses the PIN"):
            Tokens(LIBRARY, wrong).key(LEDGER, key.text())
    finally:
        session.set_pin(wrong, PIN)
        session.close()
    assert str(TOKENS.key(LEDGER, key.text()).public) == str(key.public)


def test_who_had_no_pin_and_has_it_now_is_let_in(softhsm: None) -> None:
    key = TOKENS.make(LEDGER, OTHER)
    module._forget(TOKENS, TokenAddress.parse(OTHER))
    with pytest.raises(TokenAway, match="shows no key") as refused:
        Tokens(LIBRARY).key(LEDGER, key.text())
    assert "TRIMTAB_PKCS11_PIN" in refused.value.next
    assert str(TOKENS.key(LEDGER, key.text()).public) == str(key.public)


def test_while_the_token_is_away_the_ledger_is_read_and_not_written(
    banked: Store, fill: Callable, clock: VirtualClock, actor: Actor
) -> None:
    replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    banked.close()
    without = msgspec.structs.replace(banked.settings, pkcs11_library="", pkcs11_pin="")
    with closing(open_store(without, clock=clock)) as other:
        assert any("checked with the ledger's key" in line for line in verify(other).unproved)
        with pytest.raises(KeyMissing, match="no library of the token is known"):
            fill(other, 1)
        with pytest.raises(KeyMissing):
            replace_key(other, actor=actor, because="every year")
    with closing(open_store(banked.settings, clock=clock)) as other:
        assert fill(other, 1).position == 4
    # It is lost: whoever takes the address away says so by an event.
    key_files(banked)[0].unlink()
    with closing(open_store(without, clock=clock)) as other:
        assert replace_key(other, actor=actor, because="the token burnt").by_old is None
        assert fill(other, 1).position == 6


def test_a_key_that_was_never_used_keeps_nobody_out(banked: Store, fill: Callable, clock: VirtualClock) -> None:
    banked.keys.prepare(banked.keys.new(banked.origin, token=BANK))
    banked.close()
    without = msgspec.structs.replace(banked.settings, pkcs11_library="", pkcs11_pin="")
    with closing(open_store(without, clock=clock)) as other:
        assert fill(other, 1).position == 3


def test_a_key_of_before_does_not_come_back(banked: Store, fill: Callable, actor: Actor) -> None:
    replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    first = key_files(banked)[0].read_text().strip()
    for again in (1, 2):
        with pytest.raises(Invalid, match="this key has signed the ledger before"):
            replace_key(banked, actor=actor, because="it was good", token=first)
        if again == 1:
            replace_key(banked, actor=actor, because="every year", token=BANK)
    assert fill(banked, 1).position == 5


def test_without_its_package_a_token_is_away(softhsm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    for ask in (TOKENS.make, TOKENS.key):
        with pytest.raises(TokenAway) as refused:
            ask(LEDGER, f"{BANK};id=%01")
        assert refused.value.next == "pip install 'trimtab[pkcs11]'"


def test_a_backup_is_rehearsed_with_its_token(banked: Store, actor: Actor, tmp_path: Path) -> None:
    replace_key(banked, actor=actor, because="the auditors ask for it", token=BANK)
    back_up(banked, tmp_path / "backups", told=lambda *_: None, with_keys=True)
    found = rehearse(tmp_path / "backups", told=lambda *_: None, by=banked.settings)
    assert found.kind is VerificationKind.INTACT


@pytest.mark.parametrize(
    ("address", "library", "said"),
    [
        ("pkcs11:token=nowhere", LIBRARY, "NoSuchToken"),
        (BANK, "/usr/lib/no-such-library.so", "no-such-library"),
    ],
)
def test_a_token_that_is_not_there_is_named(softhsm: None, address: str, library: str, said: str) -> None:
    with pytest.raises(TokenAway) as refused:
        Tokens(library, PIN).make(LEDGER, address)
    assert said in refused.value.why


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("softhsm:token=bank", "It begins with pkcs11:"),
        ("pkcs11:object=key", "It names no token"),
        ("pkcs11:token=bank?module-path=/lib/x.so", "The library and the PIN are settings"),
        ("pkcs11:token=bank?pin-value=1234", "The library and the PIN are settings"),
        ("pkcs11:token=bank;slot-id=3", "and not 'slot-id'"),
        ("pkcs11:token=bank;token=other", "each once"),
        ("pkcs11:token=%FF", "is not UTF-8"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(address: str, why: str) -> None:
    with pytest.raises(Invalid, match="not the address of a key in a token") as refused:
        TokenAddress.parse(address)
    assert why in refused.value.why


def test_an_address_as_tools_print_it_is_understood() -> None:
    printed = "pkcs11:model=SoftHSM%20v2;manufacturer=Nobody;serial=12ab;token=the%20bank;type=private"
    assert TokenAddress.parse(printed) == TokenAddress(token="the bank", serial="12ab")


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@given(token=TEXTS.filter(bool), serial=TEXTS, label=TEXTS, id_=st.binary(max_size=9))
def test_an_address_says_what_it_was_made_from(token: str, serial: str, label: str, id_: bytes) -> None:
    address = TokenAddress(token=token, serial=serial, object=label, id=id_)
    assert TokenAddress.parse(str(address)) == address
