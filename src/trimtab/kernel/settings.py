"""Settings: the environment over the file ``trimtab.toml`` over the defaults, each with its origin."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from trimtab.kernel.errors import Invalid

ENVIRONMENT_PREFIX = "TRIMTAB_"
FILE_NAME = "trimtab.toml"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=1024)]
_IN_WORDS = {
    str: 'a text, in a file in quotes: "..."',
    Port: "a whole number from 0 to 65535",
    Workers: "a whole number from 1 to 1024",
}


_SECRET = ("token", "alerts_secret", "alerts_webhook")
"""Settings that are never shown: a webhook's address is often all that it takes to post to it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Each name is also an environment variable: ``TRIMTAB_`` and the name in capitals."""

    home: str = ".trimtab"
    """Folder of the embedded stores, the blobs, the keys and the logs."""
    database: str = ""
    """Database URL: ``postgresql://...``; empty means SQLite in ``home``."""
    blobs: str = ""
    """Blob store URL: ``s3://bucket/prefix``; empty means files in ``home``."""
    blobs_endpoint: str = ""
    """Address of an S3-compatible service; empty means the provider's own."""
    clock: str = "system"
    """``system``, or the ISO time at which this project's clock starts."""
    host: str = "127.0.0.1"
    port: Port = 8400
    hosts: str = ""
    """Names, separated by commas, that the server answers to besides those of this machine."""
    server: str = ""
    """URL of a running Trimtab that clients should talk to; empty means the stores directly."""
    token: str = ""
    """API token that clients send to ``server``."""
    workers: Workers = 2
    """Worker processes for pipeline steps."""
    project: str = "trimtab_project.py"
    """The file that declares the loop."""
    alerts_webhook: str = ""
    """Web address that alerts are posted to, as signed CloudEvents."""
    alerts_secret: str = ""
    """Secret that the webhook's signature is made with, besides the ledger's own key."""
    alerts_mail: str = ""
    """E-mail addresses, separated by commas, that alerts are sent to."""
    alerts_smtp: str = ""
    """Mail server: ``smtp://user:password@host:587?from=address``; empty means the one of this machine."""
    alerts_command: str = ""
    """Command that is run for each alert, with the CloudEvent on its standard input."""

    @property
    def home_path(self) -> Path:
        return Path(self.home).resolve()


class Setting(msgspec.Struct, frozen=True):
    """One setting as ``trimtab doctor`` shows it."""

    name: str
    value: Any
    origin: str


def load(*, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> tuple[Settings, list[Setting]]:
    """Read the settings of a folder; return them and where each came from. Raises ``Invalid`` with the place."""
    environment = os.environ if environment is None else environment
    file = (folder or Path.cwd()) / FILE_NAME
    in_file = _read_file(file)
    values: dict[str, Any] = {}
    origins: list[Setting] = []
    for field in msgspec.structs.fields(Settings):
        variable = ENVIRONMENT_PREFIX + field.encode_name.upper()
        if variable in environment:
            value, origin = _convert(environment[variable], field.type, variable), f"environment {variable}"
        elif field.name in in_file:
            value, origin = _convert(in_file[field.name], field.type, f"{FILE_NAME}: {field.name}"), FILE_NAME
        else:
            value, origin = field.default, "default"
        values[field.name] = value
        origins.append(Setting(field.name, _shown(field.name, value), origin))
    return Settings(**values), origins


def _read_file(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Invalid(
            f"{FILE_NAME} cannot be read",
            where=FILE_NAME,
            why=f"The system says: {error.strerror}.",
            next=f"make {FILE_NAME} a file that you may read, or take it away",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{FILE_NAME} is not TOML", where=FILE_NAME, why=f"{error}.", next=f"correct {FILE_NAME}"
        ) from None
    known = {field.name for field in msgspec.structs.fields(Settings)}
    for name in found:
        if name not in known:
            raise Invalid(
                f"there is no setting {name!r}",
                where=f"{FILE_NAME}: {name}",
                why="A misspelt setting would silently do nothing.",
                next=f"use one of: {', '.join(sorted(known))}",
            )
    return found


def _convert(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{value!r} is not a valid value",
            where=where,
            why=f"{error}.",
            next=f"give {_IN_WORDS[kind]}",
        ) from None


def _shown(name: str, value: Any) -> Any:
    if name in _SECRET and value:
        return "(hidden)"
    if isinstance(value, str) and "@" in value and "://" in value:
        scheme, rest = value.split("://", 1)
        return f"{scheme}://(hidden)@{rest.rsplit('@', 1)[1]}"
    return value
