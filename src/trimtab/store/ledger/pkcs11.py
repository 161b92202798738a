"""A ledger's key in a PKCS#11 token: an HSM, a smart card, a cloud's key service. The secret half never leaves it.

A token holds three objects of one id: an Ed25519 key pair, which signs, and a secret for HMAC with SHA-256, from which
each process derives the secret of the events' codes. A key file names them by an address (RFC 7512):
``pkcs11:token=bank;id=%01%02?module-path=/usr/lib/softhsm/libsofthsm2.so``. The PIN is a setting, ``ledger_pin``.
"""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from trimtab.kernel import Invalid, MissingExtra, Refused, Unavailable
from trimtab.store.ledger.notes import SigningKey

SCHEME = "pkcs11:"
_CURVE = "1.3.101.112"
_NAMING = ("token", "serial", "object", "id", "module-path")
_DESCRIBING = ("type", "model", "manufacturer")
"""What tools write into an address beside that; it is not looked at."""
_RAW_BYTES = 32
_HINT = "name it like pkcs11:token=bank?module-path=/usr/lib/softhsm/libsofthsm2.so"
_CHECK = (
    "check that the token is there, that TRIMTAB_LEDGER_PIN holds its PIN, and that it has the key: "
    "pkcs11-tool --module LIBRARY --login --list-objects"
)
_lock = threading.RLock()  # a library is told that one thread at a time calls it
_sessions: dict["TokenAddress", Any] = {}
_refused: set[tuple["TokenAddress", str]] = set()
"""PINs that a token has refused: it locks itself after a few of them."""


class TokenAddress(msgspec.Struct, frozen=True):
    """Where a token is, and which of its keys is meant: by its label ``object``, its ``id``, or both."""

    module: str
    token: str = ""
    serial: str = ""
    object: str = ""
    id: bytes = b""

    @classmethod
    def parse(cls, text: str) -> "TokenAddress":
        """Read a PKCS#11 URI. Raises ``Invalid`` for what it cannot have, a PIN among them."""
        if not text.strip().startswith(SCHEME):
            raise _malformed(f"It begins with {SCHEME}.")
        path, _, query = text.strip().removeprefix(SCHEME).partition("?")
        found: dict[str, bytes] = {}
        for part in filter(None, [*path.split(";"), *query.split("&")]):
            name, _, value = part.partition("=")
            if name.startswith("pin-"):
                raise _malformed("The PIN is a secret of its own: the environment variable TRIMTAB_LEDGER_PIN.")
            if name not in (*_NAMING, *_DESCRIBING) or name in found:
                raise _malformed(f"What it names are {', '.join(_NAMING)}, each once, and not {name[:40]!r}.")
            found[name] = unquote_to_bytes(value)
        try:
            module, token, serial, label = (found.get(name, b"").decode() for name in ("module-path", *_NAMING[:3]))
        except UnicodeDecodeError:
            raise _malformed("A name in it is not UTF-8.") from None
        if not module.startswith("/"):
            raise _malformed("It gives the whole path of the token's library, module-path=/....")
        if not (token or serial):
            raise _malformed("It names no token.")
        return cls(module=module, token=token, serial=serial, object=label, id=found.get("id", b""))

    def __str__(self) -> str:
        named = [f"{name}={quote(value, safe='')}" for name in _NAMING[:3] if (value := getattr(self, name))]
        if self.id:
            named.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        return f"{SCHEME}{';'.join(named)}?module-path={quote(self.module)}"

    @property
    def device(self) -> "TokenAddress":
        """Return the address without the key."""
        return TokenAddress(module=self.module, token=self.token, serial=self.serial)


class TokenKey:
    """A ``Signer`` in a token. Safe to share between threads; a token that was away is asked anew."""

    def __init__(self, address: TokenAddress, pin: str) -> None:
        self._address = address
        self._pin = pin
        self._found: tuple[Any, Any] | None = None
        """The private key and the secret, as the session knows them."""
        self.raw = self._ask(self._public)

    def sign(self, data: bytes) -> bytes:
        from pkcs11 import Mechanism

        return self._ask(lambda session: bytes(self._objects(session)[0].sign(data, mechanism=Mechanism.EDDSA)))

    def derive(self, info: bytes) -> bytes:
        """Return the HMAC with SHA-256 of ``info`` under the token's secret: a key derived as by NIST SP 800-108."""
        from pkcs11 import Mechanism

        return self._ask(lambda session: bytes(self._objects(session)[1].sign(info, mechanism=Mechanism.SHA256_HMAC)))

    def _ask(self, question: Callable[[Any], bytes]) -> bytes:
        """Ask the token, once more with a new session where the one of before is gone."""
        pkcs11 = _library()
        with _lock:
            for last in (False, True):
                try:
                    return question(_session(self._address.device, self._pin))
                except pkcs11.PKCS11Error as error:
                    self._found = None
                    _forget(self._address.device)
                    if last:
                        raise _unavailable(self._address, error) from None
        raise AssertionError

    def _public(self, session: Any) -> bytes:
        from pkcs11 import Attribute, KeyType, ObjectClass

        point = bytes(self._key(session, ObjectClass.PUBLIC_KEY, KeyType.EC_EDWARDS)[Attribute.EC_POINT])
        return point[-_RAW_BYTES:]  # some tokens give it as it is, others as an OCTET STRING

    def _objects(self, session: Any) -> tuple[Any, Any]:
        from pkcs11 import KeyType, ObjectClass

        if self._found is None:
            private = self._key(session, ObjectClass.PRIVATE_KEY, KeyType.EC_EDWARDS)
            self._found = private, self._key(session, ObjectClass.SECRET_KEY, None)
        return self._found

    def _key(self, session: Any, of: Any, kind: Any) -> Any:
        from pkcs11 import Attribute

        asked = {
            Attribute.CLASS: of, Attribute.KEY_TYPE: kind, Attribute.LABEL: self._address.object or None,
            Attribute.ID: self._address.id or None,
        }  # fmt: skip
        found = list(session.get_objects({name: value for name, value in asked.items() if value is not None}))
        if len(found) == 1:
            return found[0]
        raise Unavailable(
            f"the token has {len(found) or 'no'} keys of this address",
            where=str(self._address),
            why="One key pair for Ed25519 and one secret are meant; without a PIN a token shows the public half only.",
            next=_CHECK if not found else "name one by its id=: pkcs11-tool --module LIBRARY --login --list-objects",
        )


def key_in_token(name: str, text: str, *, pin: str) -> SigningKey:
    """Return the key that an address names, for a ledger.

    Raises ``Invalid`` for what is no address, ``Unavailable`` where the token, its library or the key is not there,
    ``Refused`` for a PIN that is wrong, and ``MissingExtra`` without the package.
    """
    address = TokenAddress.parse(text)
    key = SigningKey(name, TokenKey(address, pin), str(address))
    if not key.public.signed(key.checkpoint(0, bytes(32))):
        raise Unavailable(
            "the token signs with another key than the public one beside it",
            where=str(address),
            why="Objects of one id belong together: a key pair for Ed25519 and a secret.",
            next='let Trimtab make them: trimtab ledger new-key --in "pkcs11:token=..." --because "..."',
        )
    return key


def make_in_token(name: str, text: str, *, pin: str) -> SigningKey:
    """Make a ledger's key in the token that an address names, or take the one that it names. Raises as that does."""
    address = TokenAddress.parse(text)
    if not (address.object or address.id):
        address = msgspec.structs.replace(address, object=name, id=secrets.token_bytes(8))
        pkcs11 = _library()
        try:
            with _lock:
                _generate(_session(address.device, pin), address)
        except pkcs11.PKCS11Error as error:
            _forget(address.device)
            raise _unavailable(address, error) from None
    return key_in_token(name, str(address), pin=pin)


def _generate(session: Any, address: TokenAddress) -> None:
    """Make a key pair and a secret that the token never gives away."""
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    kept = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVE)}
    session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True).generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=address.object, id=address.id,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY, private_template=kept,
    )  # fmt: skip
    session.generate_key(
        KeyType.GENERIC_SECRET, 256, store=True, label=address.object, id=address.id, template=kept,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
    )  # fmt: skip


def _session(device: TokenAddress, pin: str) -> Any:
    """Return this process's session with a token, which is opened now if there is none."""
    pkcs11 = _library()
    if device in _sessions:
        return _sessions[device]
    if (device, pin) in _refused:
        raise _wrong_pin(device)
    library = pkcs11.lib(device.module)
    token = library.get_token(token_label=device.token or None, token_serial=device.serial.encode() or None)
    try:
        session = token.open(rw=True, user_pin=pin or None)
    except pkcs11.UserAlreadyLoggedIn:  # a login is the process's, not the session's
        session = token.open(rw=True)
    except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
        _refused.add((device, pin))
        raise _wrong_pin(device) from None
    _sessions[device] = session
    return session


def _forget(device: TokenAddress) -> None:
    session = _sessions.pop(device, None)
    if session is not None:
        with suppress(_library().PKCS11Error):
            session.close()


def _library() -> Any:
    try:
        import pkcs11
    except ModuleNotFoundError:
        raise MissingExtra(
            "the ledger's key cannot be had", where="home folder keys", package="python-pkcs11", extra="pkcs11"
        ) from None
    return pkcs11


def _wrong_pin(device: TokenAddress) -> Refused:
    return Refused(
        "the token refuses the PIN",
        where=str(device),
        why="It is not asked again with this one, as a token locks itself after a few wrong ones.",
        next="put the right one into the environment variable TRIMTAB_LEDGER_PIN, and start again",
    )


def _unavailable(address: TokenAddress, error: Exception) -> Unavailable:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Unavailable(
        "the ledger's key cannot be had from its token",
        where=str(address),
        why=f"The token's library ends with {said}.",
        next=_CHECK,
    )


def _malformed(why: str) -> Invalid:
    return Invalid("this is not the address of a key in a token", where="pkcs11:...", why=why, next=_HINT)
