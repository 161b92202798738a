"""Settings: the environment over the file ``trimtab.toml`` over the defaults, each with its origin."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec

from trimtab.kernel.errors import Invalid

ENVIRONMENT_PREFIX = "TRIMTAB_"
FILE_NAME = "trimtab.toml"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Environment = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]{0,39}\\Z")]
LogBytes = Annotated[int, msgspec.Meta(ge=1000, le=2**40)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86400)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
HeadBytes = Annotated[int, msgspec.Meta(ge=1024, le=16 << 20)]
BodyBytes = Annotated[int, msgspec.Meta(ge=1024, le=1 << 30)]
Age = Annotated[str, msgspec.Meta(pattern="^(forever|[0-9]{1,5}[smhd])\\Z")]
Every = Annotated[str, msgspec.Meta(pattern="^(never|[0-9]{1,5}[smhd])\\Z")]
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_IN_WORDS = {
    str: 'a text, in a file in quotes: "..."',
    Port: "a whole number from 0 to 65535",
    Workers: "a whole number from 1 to 1024",
    Environment: "a name of small letters, digits and '-', such as staging or production",
    LogBytes: "a whole number of bytes from 1000 on",
    Seconds: "seconds, from 0.1 to 86400",
    Amount: "a whole number from 1 to 1000000",
    HeadBytes: "bytes, a whole number from 1024 to 16777216",
    BodyBytes: "bytes, a whole number from 1024 to 1073741824",
    Age: "a whole number and a unit, such as 90d or 36h, or forever",
    Every: "a whole number and a unit, such as 1d or 6h, or never",
}
_AT_LEAST: dict[str, tuple[str, str]] = {
    "keep_attempts": ("1h", "What is being written has no row yet: it is only safe while it is young."),
    "keep_governed_decisions": (
        "183d", "The EU AI Act asks for six months at least of the logs of high-risk systems (Art. 19(1) and 26(6)).",
    ),
    "gc_every": ("1m", "Each round looks through every row and every blob."),
}  # fmt: skip
"""The shortest that a setting may be, and why."""


_SECRET = ("token", "alerts_secret", "alerts_webhook", "ledger_key_command", "pkcs11_pin")
"""Settings that are never shown: a webhook's address is often all that it takes to post to it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Each name is also an environment variable: ``TRIMTAB_`` and the name in capitals."""

    home: str = ".trimtab"
    """Folder of the embedded stores, the blobs, the keys and the logs."""
    ledger_key_command: str = ""
    """Command that prints the ledger's key, from a secret store or a key service; empty means the file in ``home``."""
    pkcs11_library: str = ""
    """Library of the PKCS#11 token that keeps the ledger's key: ``/usr/lib/softhsm/libsofthsm2.so``."""
    pkcs11_pin: str = ""
    """PIN of the token that keeps the ledger's key."""
    environment: Environment = "local"
    """What this home serves: ``staging``, ``production``, ... Releases name it, and hold nowhere else."""
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
    proxies: str = ""
    """Addresses or networks, separated by commas, of proxies that say truly in ``X-Forwarded-For`` who called them."""
    server: str = ""
    """URL of a running Trimtab that clients should talk to; empty means the stores directly."""
    token: str = ""
    """API token that clients send to ``server``."""
    workers: Workers = 2
    """Worker processes for pipeline steps."""
    guest_environment: str = ""
    """Environment variables, separated by commas, that user code may see besides harmless ones: ``PGUSER, AWS_*``."""
    guest_reads: str = ""
    """Folders and files, separated by commas, that user code may read besides the project's folder and packages."""
    guest_user: str = ""
    """User that user code runs as where root starts Trimtab; empty means the same user."""
    step_log_bytes: LogBytes = 10_000_000
    """The most bytes of a step's output that its log keeps; where it ends, it says how much was left out."""
    deadline_s: Seconds = 10.0
    """Seconds after which a request for a decision is told that the model did not answer (504)."""
    model_threads: Workers = 2
    """Threads that each version at each endpoint has for calls that do not run on the event loop."""
    model_queue_rows: Amount = 50_000
    """Rows that may wait for one version at one endpoint; what comes then is told to come again later (503)."""
    http_head_bytes: HeadBytes = 65_536
    """Bytes of a request's address and headers together."""
    http_body_bytes: BodyBytes = 33_554_432
    """Bytes of a request for decisions, packed or unpacked."""
    http_timeout_s: Seconds = 30.0
    """Seconds for the head of a request to arrive, and without any of a body arriving or of an answer being read."""
    http_keep_alive_s: Seconds = 75.0
    """Seconds that a connection stays open without a request; clients that pool connections keep theirs for less."""
    http_connections: Amount = 1_000
    """Connections at a time; beyond them the one that was idle for longest is closed, or else the new one refused."""
    keep_attempts: Age = "7d"
    """How long what failed and cancelled runs left is kept, and blobs that no row names: ``7d``, ``forever``."""
    keep_logs: Age = "90d"
    """How long the logs of steps are kept."""
    keep_snapshots: Age = "90d"
    """How long a snapshot is kept after another one took its place, when no version and nothing in use needs it."""
    keep_runs: Age = "forever"
    """How long ended runs are kept of which no version was registered."""
    keep_decisions: Age = "forever"
    """How long decisions are kept with what came of them, of endpoints whose models need nobody's approval."""
    keep_governed_decisions: Age = "forever"
    """The same for endpoints of models that somebody must approve: 183 days at least."""
    gc_every: Every = "never"
    """How often the server removes what is older than that by itself: ``1d``; ``never`` leaves it to ``trimtab gc``."""
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

    def __post_init__(self) -> None:
        for name, (shortest, why) in _AT_LEAST.items():
            text = getattr(self, name)
            span, least = span_of(text), span_of(shortest)
            if span is not None and least is not None and span < least:
                raise Invalid(
                    f"{text} is too short for {name}",
                    where=f"setting {name}",
                    why=why,
                    next=f"give {shortest} or more",
                )
        for text in filter(None, self.proxies.split(",")):
            _check_network(text.strip())

    @property
    def home_path(self) -> Path:
        return Path(self.home).resolve()


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid(
            f"{text[:100]!r} is not the address of a proxy",
            where="setting proxies",
            why=f"{error}.",
            next="give addresses or networks such as 127.0.0.1 or 10.1.0.0/16",
        ) from None


def span_of(text: str) -> timedelta | None:
    """Return the span of time that a setting writes as ``90d``; None for ``forever`` and ``never``."""
    return None if text in ("forever", "never") else timedelta(seconds=int(text[:-1]) * _UNITS_S[text[-1]])


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
            value, origin = _convert(environment[variable], field, variable), f"environment {variable}"
        elif field.name in in_file:
            value, origin = _convert(in_file[field.name], field, f"{FILE_NAME}: {field.name}"), FILE_NAME
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


def _convert(value: Any, field: msgspec.structs.FieldInfo, where: str) -> Any:
    try:
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{_shown(field.name, value)!r} is not a valid value",
            where=where,
            why=f"{error}.",
            next=f"give {_IN_WORDS[field.type]}",
        ) from None


def _shown(name: str, value: Any) -> Any:
    if name in _SECRET and value:
        return "(hidden)"
    if isinstance(value, str) and "@" in value and "://" in value:
        scheme, rest = value.split("://", 1)
        return f"{scheme}://(hidden)@{rest.rsplit('@', 1)[1]}"
    return value
