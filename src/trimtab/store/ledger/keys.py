"""The keys that sign checkpoints and authenticate events: a file for each ledger in the folder ``keys`` of the home.

It is readable by its owner only, and holds the key or the address of the token that does (PKCS#11: an HSM, a cloud's
key service). Or a command prints that (the setting ``ledger_key_command``): from the environment or a secret store, and
no file of the home holds it.
"""

import os
import secrets
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from trimtab.kernel import Invalid, Refused, Unavailable
from trimtab.store.failures import KeyMissing
from trimtab.store.ledger.notes import PublicKey, SigningKey
from trimtab.store.ledger.pkcs11 import SCHEME, Tokens

_NEXT, _NEXT_PUBLIC = ".next.key", ".next.pub"
COMMAND_S = 60.0
"""How long the command that prints the key may take."""


class Keys:
    """The signing keys of a home. ``command`` prints what else a file holds; ``tokens`` are asked for a key in one."""

    def __init__(self, folder: Path, *, command: str = "", tokens: Tokens | None = None) -> None:
        self._folder = folder
        self._command = command
        self._tokens = tokens or Tokens()
        self._loaded: dict[str, SigningKey] = {}

    def of(self, origin: str) -> SigningKey:
        """Return the key of a ledger. Raises ``KeyMissing``, and ``Refused`` when others may read its file."""
        key = self.find(origin)
        if key is None:
            file = self._path(origin, ".key").name
            raise KeyMissing(
                "this home does not have the ledger's key",
                where=f"keys/{file}",
                next=f"copy keys/{file} from the home that wrote the ledger into the folder keys of this one; "
                'if it is lost: trimtab ledger new-key --because "..."',
            )
        return key

    def find(self, origin: str) -> SigningKey | None:
        """Return the key of a ledger, None where nothing here names one. Raises ``TokenAway``, and as ``of`` does."""
        if origin not in self._loaded:
            key = self._load(origin)
            if key is None:
                return None
            self._loaded[origin] = key
        return self._loaded[origin]

    def has(self, origin: str) -> bool:
        """Say whether this home can use the key of a ledger: a token that is away is as good as none."""
        try:
            return self.find(origin) is not None
        except KeyMissing:
            return False

    def make(self, origin: str) -> SigningKey:
        """Make the key of a new ledger, unless it is there."""
        key = self._load(origin) or self._make(origin)
        self._loaded[origin] = key
        return key

    def new(self, origin: str, *, token: str = "") -> SigningKey:
        """Return a key that may take the place of a ledger's, made in a token where the address of one is given.

        Raises ``Invalid`` where a command prints the key, and as ``Tokens.make`` does.
        """
        if self._command:
            raise Invalid(
                "the key cannot be replaced here",
                where="setting ledger_key_command",
                why="The key comes from a command, which only prints it.",
                next="do it in a home that has the key as a file, then put that file's text where the command reads",
            )
        return self._tokens.make(origin, token) if token else SigningKey.make(origin)

    def prepare(self, key: SigningKey) -> None:
        """Keep a key that is about to take the place of a ledger's."""
        origin = key.public.name
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path(origin, _NEXT).unlink(missing_ok=True)
        self._path(origin, _NEXT_PUBLIC).write_text(f"{key.public}\n", "utf-8")
        self._write(key, _NEXT)

    def is_prepared(self, origin: str) -> bool:
        """Say whether a key waits to take the place of a ledger's."""
        return self._path(origin, _NEXT).exists()

    def settle(self, origin: str, *, signed_by: str) -> None:
        """Put a prepared key into its place if the ledger is signed by it; the one of before stays, under its id.

        No key is used for that, so none needs to be there: a token may be away.
        """
        if self._prepared(origin) != signed_by:
            return
        before = self.public(origin)
        if before is not None and before != signed_by:
            with suppress(FileExistsError, FileNotFoundError):  # that was done, and its doer killed; or it is lost
                os.link(self._path(origin, ".key"), self._path(origin, f".{PublicKey.parse(before).id.hex()}.key"))
        with suppress(FileNotFoundError):
            self._path(origin, _NEXT_PUBLIC).replace(self._path(origin, ".pub"))
        self._path(origin, _NEXT).replace(self._path(origin, ".key"))
        self._loaded.pop(origin, None)

    def _prepared(self, origin: str) -> str | None:
        """Return the public half of the key that waits."""
        with suppress(FileNotFoundError):
            return self._path(origin, _NEXT_PUBLIC).read_text("utf-8", "replace").strip()
        text = self._path(origin, _NEXT).read_text("utf-8", "replace")
        # It has been put into its place, and its doer killed; or an earlier version prepared it, which knew no token.
        return self.public(origin) if text.startswith(SCHEME) else str(SigningKey.parse(text).public)

    def public(self, origin: str) -> str | None:
        """Return the public key of a ledger in its text form, if this home has signed for it."""
        with suppress(FileNotFoundError, Invalid):
            return str(PublicKey.parse(self._path(origin, ".pub").read_text("utf-8", "replace")))
        # Whoever made the key was killed before it had written the other file, or that was damaged.
        key = self._load(origin)
        return None if key is None else str(key.public)

    def _path(self, origin: str, suffix: str) -> Path:
        return self._folder / f"ledger-{origin.rsplit('/', 1)[-1]}{suffix}"

    def _load(self, origin: str) -> SigningKey | None:
        if self._command:
            return self._parsed(origin, _printed(self._command, origin))
        path = self._path(origin, ".key")
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise Refused(
                    "a signing key is open to others",
                    where=f"keys/{path.name}",
                    why="Whoever can read the key can sign a ledger that never was.",
                    next=f"chmod 600 {path}",
                )
            return self._parsed(origin, path.read_text("utf-8", "replace"))
        except FileNotFoundError:
            return None

    def _parsed(self, origin: str, text: str) -> SigningKey:
        return self._tokens.key(origin, text) if text.startswith(SCHEME) else SigningKey.parse(text)

    def _make(self, origin: str) -> SigningKey:
        key = SigningKey.make(origin)
        if not self._write(key):
            loaded = self._load(origin)
            assert loaded is not None
            key = loaded
        return key

    def _write(self, key: SigningKey, suffix: str = ".key") -> bool:
        """Write a key's file; return False when another process was quicker."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        origin = key.public.name
        path = self._path(origin, suffix)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.text())
            file.flush()
            os.fsync(file.fileno())
        try:
            # Two processes may make a key at once: the one that links its file first decides for both.
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        if suffix != _NEXT:
            self._path(origin, ".pub").write_text(f"{key.public}\n", "utf-8")
        return True


def _printed(command: str, origin: str) -> str:
    """Return what the command prints, which knows the ledger's name from its environment. Raises ``Unavailable``."""
    environment = os.environ | {"TRIMTAB_LEDGER": origin}
    try:
        done = subprocess.run(  # noqa: S603 - the command is a setting of whoever runs Trimtab
            shlex.split(command), env=environment, capture_output=True, timeout=COMMAND_S, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unavailable(
            "the ledger's key cannot be had",
            where="setting ledger_key_command",
            why=f"The command ends with {type(error).__name__}: {getattr(error, 'returncode', error)}.",
            next="run the command by hand; it prints one line: PRIVATE+KEY+name+id+base64, or pkcs11:...",
        ) from None
    return done.stdout.decode("utf-8", "replace")
