"""A ledger's key in a PKCS#11 token: an HSM, a smart card, a cloud's key service. The secret half never leaves it.

A token holds three objects of one id: an Ed25519 key pair, which signs, and a secret for HMAC with SHA-256, from which
each process derives the secret of the events' codes. A key file names them by an address, a PKCS#11 URI (RFC 7512):
``pkcs11:token=bank;id=%01%02``. The token's library and its PIN are settings: a file of a home names no code to load.
"""

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from trimtab.kernel import Invalid
from trimtab.store.failures import KeyMissing
from trimtab.store.ledger.notes import SigningKey

SCHEME = "pkcs11:"
_CURVE = "1.3.101.112"
_NAMING = ("token", "serial", "object", "id")
_DESCRIBING = ("type", "model", "manufacturer")
"""What tools write into an address beside that; it is not looked at."""
_RAW_BYTES = 32
_LIST = "list what it has: pkcs11-tool --module LIBRARY --login --list-objects"
_lock = threading.RLock()  # a library is told that one thread at a time calls it
_sessions: dict[tuple["TokenAddress", "Tokens"], Any] = {}
_refused: set[tuple["TokenAddress", "Tokens"]] = set()
"""PINs that a token has refused: it locks itself after a few of them."""


class TokenAway(KeyMissing):
    """The ledger's key is in a token that cannot be asked: then the ledger is read, and not written."""

    code = "store.token-away"
    default_why = "The ledger's key is in a token, which signs for it."
    default_next = (
        "check that the token is there, and that TRIMTAB_PKCS11_LIBRARY and TRIMTAB_PKCS11_PIN are set; if it is lost, "
        'take keys/ledger-*.key away, then: trimtab ledger new-key --because "..."'
    )


class TokenAddress(msgspec.Struct, frozen=True):
    """Which token is meant, and which of its keys: by its label ``object``, its ``id``, or both."""

    token: str = ""
    serial: str = ""
    object: str = ""
    id: bytes = b""

    @classmethod
    def parse(cls, text: str) -> "TokenAddress":
        """Read a PKCS#11 URI. Raises ``Invalid`` for what it cannot have: a library and a PIN are settings."""
        if not text.strip().startswith(SCHEME):
            raise _malformed(f"It begins with {SCHEME}.")
        path, _, query = text.strip().removeprefix(SCHEME).partition("?")
        found: dict[str, bytes] = {}
        for part in filter(None, [*path.split(";"), *query.split("&")]):
            name, _, value = part.partition("=")
            if name.startswith(("pin-", "module-")):
                raise _malformed("The library and the PIN are settings: TRIMTAB_PKCS11_LIBRARY and TRIMTAB_PKCS11_PIN.")
            if name not in (*_NAMING, *_DESCRIBING) or name in found:
                raise _malformed(f"What it names are {', '.join(_NAMING)}, each once, and not {name[:40]!r}.")
            found[name] = unquote_to_bytes(value)
        try:
            token, serial, label = (found.get(name, b"").decode() for name in _NAMING[:3])
        except UnicodeDecodeError:
            raise _malformed("A name in it is not UTF-8.") from None
        if not (token or serial):
            raise _malformed("It names no token.")
        return cls(token=token, serial=serial, object=label, id=found.get("id", b""))

    def __str__(self) -> str:
        named = [f"{name}={quote(value, safe='')}" for name in _NAMING[:3] if (value := getattr(self, name))]
        if self.id:
            named.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        return SCHEME + ";".join(named)

    @property
    def device(self) -> "TokenAddress":
        """Return the address without the key."""
        return TokenAddress(token=self.token, serial=self.serial)


class Tokens(msgspec.Struct, frozen=True):
    """What opens tokens: the path of their library, and the PIN that all of them have."""

    module_path: str = ""
    pin: str = ""

    def key(self, name: str, text: str) -> SigningKey:
        """Return the key that an address names, for the ledger of that name.

        Raises ``Invalid`` for what is no address of one key, and ``TokenAway`` where that cannot be asked.
        """
        address = TokenAddress.parse(text)
        if not address.id:
            raise _malformed("It gives no id=, and another key may come to have the same name.")
        key = SigningKey(name, TokenKey(self, address), str(address))
        if not key.public.signed(key.checkpoint(0, bytes(32))):
            raise Invalid(
                "the token signs with another key than the public one beside it",
                where=str(address),
                why="Objects of one id belong together: a key pair for Ed25519 and a secret.",
                next="leave object= and id= out of the address, and Trimtab makes them",
            )
        return key

    def make(self, name: str, text: str) -> SigningKey:
        """Make a key for a ledger in the token that an address names, or take the one that the address names.

        Raises as ``key`` does, and ``Invalid`` for a key that the token would give away.
        """
        address = TokenAddress.parse(text)
        if not (address.object or address.id):
            address = msgspec.structs.replace(address, object=name, id=secrets.token_bytes(8))
            self._generate(address)
        found = TokenKey(self, address)
        if found.can_be_taken_out():
            raise Invalid(
                "the token gives this key away",
                where=str(address),
                why="It was made so that it can be taken out (CKA_EXTRACTABLE).",
                next="leave object= and id= out of the address, and Trimtab makes one that cannot",
            )
        return self.key(name, str(msgspec.structs.replace(address, id=found.id)))

    def _generate(self, address: TokenAddress) -> None:
        """Make a key pair and a secret that the token never gives away, or nothing."""
        pkcs11 = _package()
        attribute, use = pkcs11.Attribute, pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY
        kept = {attribute.SENSITIVE: True, attribute.EXTRACTABLE: False}
        curve = {attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(_CURVE)}
        named = {"store": True, "label": address.object, "id": address.id, "capabilities": use}
        made: tuple[Any, ...] = ()
        with _lock:
            session = open_session(self, address.device, writing=True)
            try:
                parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
                how = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
                made = parameters.generate_keypair(mechanism=how, private_template=kept, **named)
                session.generate_key(pkcs11.KeyType.GENERIC_SECRET, 256, template=kept, **named)
            except pkcs11.PKCS11Error as error:
                for one in made:
                    one.destroy()
                raise _away(address, error) from None
            finally:
                session.close()


class TokenKey:
    """A ``Signer`` in a token. Safe to share between threads; a token that was away is asked anew."""

    def __init__(self, tokens: Tokens, address: TokenAddress) -> None:
        self._tokens = tokens
        self._address = address
        self._found: tuple[Any, Any, Any] = None, None, None
        """The session, and the private key and the secret as it knows them."""
        self.raw, self.id = self._ask(self._public)

    def sign(self, data: bytes) -> bytes:
        from pkcs11 import Mechanism

        return bytes(self._ask(lambda session: self._objects(session)[0].sign(data, mechanism=Mechanism.EDDSA)))

    def derive(self, info: bytes) -> bytes:
        """Return the HMAC with SHA-256 of ``info`` under the token's secret: a key derived as by NIST SP 800-108."""
        from pkcs11 import Mechanism

        return bytes(self._ask(lambda session: self._objects(session)[1].sign(info, mechanism=Mechanism.SHA256_HMAC)))

    def can_be_taken_out(self) -> bool:
        """Say whether the token gives the private key or the secret to whoever has its PIN."""
        from pkcs11 import Attribute

        return bool(self._ask(lambda session: any(one[Attribute.EXTRACTABLE] for one in self._objects(session))))

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Ask the token, once more with a new session where the one of before is gone."""
        pkcs11, device = _package(), self._address.device
        with _lock:
            was_open = (device, self._tokens) in _sessions
            for last in (not was_open, True):
                try:
                    return question(_session(self._tokens, device))
                except (pkcs11.PKCS11Error, TokenAway) as error:
                    _forget(self._tokens, device)
                    if last:
                        raise error if isinstance(error, TokenAway) else _away(self._address, error) from None
        raise AssertionError

    def _public(self, session: Any) -> tuple[bytes, bytes]:
        from pkcs11 import Attribute, KeyType, ObjectClass

        key = self._key(session, ObjectClass.PUBLIC_KEY, KeyType.EC_EDWARDS)
        # Some tokens give the point as it is, others as an OCTET STRING.
        return bytes(key[Attribute.EC_POINT])[-_RAW_BYTES:], bytes(key[Attribute.ID])

    def _objects(self, session: Any) -> tuple[Any, Any]:
        from pkcs11 import KeyType, ObjectClass

        if self._found[0] is not session:
            private = self._key(session, ObjectClass.PRIVATE_KEY, KeyType.EC_EDWARDS)
            self._found = session, private, self._key(session, ObjectClass.SECRET_KEY, None)
        return self._found[1:]

    def _key(self, session: Any, of: Any, kind: Any) -> Any:
        from pkcs11 import Attribute

        asked = {
            Attribute.CLASS: of, Attribute.KEY_TYPE: kind, Attribute.LABEL: self._address.object or None,
            Attribute.ID: self._address.id or None,
        }  # fmt: skip
        found = list(session.get_objects({name: value for name, value in asked.items() if value is not None}))
        if len(found) == 1:
            return found[0]
        if found:
            raise Invalid(
                f"the token has {len(found)} keys of this address",
                where=str(self._address),
                why="One key pair for Ed25519 and one secret are meant.",
                next=f"name one by its id=; {_LIST}",
            )
        raise TokenAway(
            "the token shows no key of this address",
            where=str(self._address),
            why="Without its PIN a token shows the public half only.",
            next=f"set TRIMTAB_PKCS11_PIN, and {_LIST}",
        )


def open_session(tokens: Tokens, device: TokenAddress, *, writing: bool = False) -> Any:
    """Open a session with a token. Raises ``TokenAway``, and does not risk that a token locks itself."""
    pkcs11 = _package()
    if not tokens.module_path:
        raise TokenAway("no library of the token is known", where="setting pkcs11_library")
    if (device, tokens) in _refused:
        raise _wrong_pin(device)
    try:
        library = pkcs11.lib(os.path.realpath(tokens.module_path))
        token = library.get_token(token_label=device.token or None, token_serial=device.serial.encode() or None)
        if tokens.pin and token.flags & (pkcs11.TokenFlag.USER_PIN_FINAL_TRY | pkcs11.TokenFlag.USER_PIN_LOCKED):
            raise TokenAway(
                "the token has refused so many PINs that it locks itself with the next one",
                where=str(device),
                why="So it is not tried again here.",
                next="log in by hand, with the right PIN: pkcs11-tool --module LIBRARY --login --list-objects",
            )
        try:
            return token.open(rw=writing, user_pin=tokens.pin or None)
        except pkcs11.UserAlreadyLoggedIn:  # a login is the process's, not the session's
            return token.open(rw=writing)
    except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
        _refused.add((device, tokens))
        raise _wrong_pin(device) from None
    except pkcs11.PKCS11Error as error:
        raise _away(device, error) from None


def _session(tokens: Tokens, device: TokenAddress) -> Any:
    """Return this process's session with a token, which is opened now if there is none."""
    session = _sessions.get((device, tokens))
    if session is None:
        session = _sessions[device, tokens] = open_session(tokens, device)
    return session


def _forget(tokens: Tokens, device: TokenAddress) -> None:
    session = _sessions.pop((device, tokens), None)
    if session is not None:
        with suppress(_package().PKCS11Error):
            session.close()


def _package() -> Any:
    try:
        import pkcs11
        import pkcs11.util.ec
    except ModuleNotFoundError:
        raise TokenAway(
            "the ledger's key cannot be had",
            where="home folder keys",
            why="It is in a token, which the package python-pkcs11 asks.",
            next="pip install 'trimtab[pkcs11]'",
        ) from None
    return pkcs11


def _wrong_pin(device: TokenAddress) -> TokenAway:
    return TokenAway(
        "the token refuses the PIN",
        where=str(device),
        why="It is not asked again with this one, as a token locks itself after a few wrong ones.",
        next="put the right one into the environment variable TRIMTAB_PKCS11_PIN, and start again",
    )


def _away(address: TokenAddress, error: Exception) -> TokenAway:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return TokenAway("the token cannot be asked", where=str(address), why=f"Its library ends with {said}.")


def _malformed(why: str) -> Invalid:
    return Invalid(
        "this is not the address of a key in a token",
        where="pkcs11:...",
        why=why,
        next="name the token like pkcs11:token=bank, and a key in it by its id=",
    )
