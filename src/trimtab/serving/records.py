"""The nouns of serving: what is asked, what was decided, and which version answers whom."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from trimtab.declare import FeatureViewSpec
from trimtab.kernel import Invalid, digest_of
from trimtab.serving.errors import NotServable

Scalar = float | int | bool | str | None
"""One feature value. None and NaN are missing alike."""
Kind = Literal["float", "int", "bool", "category"]
OutputKind = Literal["float", "int", "bool", "text", "list", "texts"]
"""How the decision log keeps one row of an output; a ``list`` is one of numbers."""
Stage = Literal["full", "canary", "shadow"]
Source = Literal["raw", "context", "key"]
"""How a row came: all features given, fields of the row given and the rest read online, or only its key given."""

BrokenRows = Literal["refuse", "flag"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A version that gets ``percent`` of the traffic, above 0 and at most 100."""

    version: int
    percent: float


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of ``model`` answer at an endpoint.

    ``champion`` gets what the canaries leave. ``shadow`` versions see every request after it was answered and
    never answer. With ``sticky_by`` (a field of the request) equal values always meet the same version; without it
    each decision is drawn by its own id. ``paired``: while a canary runs, the champion and every canary also see, as
    shadows do, the rows that another of them answered, so that they can be compared on the same rows. ``broken_rows``
    says what becomes of a row that breaks its contract: it is refused, unless that is ``flag``.
    """

    endpoint: str
    model: str
    champion: int
    canary: tuple[Canary, ...] = ()
    shadow: tuple[int, ...] = ()
    sticky_by: str | None = None
    paired: bool = False
    broken_rows: BrokenRows | msgspec.UnsetType = msgspec.UNSET

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version that this routing names, the champion first."""
        return (self.champion, *(c.version for c in self.canary), *self.shadow)

    @property
    def digest(self) -> str:
        return digest_of(self)

    @property
    def places(self) -> tuple[tuple[int, Stage, float | None], ...]:
        """Each version with its stage and its share of the traffic in percent (None for a shadow)."""
        left = 100.0 - sum(c.percent for c in self.canary)
        canaries: list[tuple[int, Stage, float | None]] = [(c.version, "canary", c.percent) for c in self.canary]
        return ((self.champion, "full", left), *canaries, *((version, "shadow", None) for version in self.shadow))

    def check(self) -> None:
        """Raise ``Invalid`` for a routing that makes no sense whatever the versions are."""
        where = f"endpoint {self.endpoint[:100]!r}"
        if not _NAME.fullmatch(self.endpoint):
            raise Invalid(
                f"{self.endpoint[:100]!r} cannot be the name of an endpoint",
                where=where,
                why="It becomes part of an address and of a folder's name.",
                next="use letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 100",
            )
        if any(not 0 < c.percent <= 100 for c in self.canary) or sum(c.percent for c in self.canary) > 100:
            raise Invalid(
                f"the canaries' shares are {', '.join(f'{c.percent:g} %' for c in self.canary)}",
                where=where,
                why="Each share is above 0 %, and together they are at most 100 %.",
                next="lower the shares, for example to 5",
            )
        if len(set(self.versions)) != len(self.versions):
            raise Invalid(
                f"a version stands twice among {', '.join(map(str, self.versions))}",
                where=where,
                why="A version is champion, canary or shadow, so that each answer has one reason.",
                next="name each version once",
            )


class ServingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What each version at each endpoint may take for itself: seconds for a request, from its arrival to its answer,
    threads for calls that do not run on the event loop, and rows that may wait for one."""

    deadline_s: float = 10.0
    threads: int = 2
    queue_rows: int = 50_000


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a model takes. ``categories`` are the texts it has seen in training, for kind ``category``.

    ``nullable``: the model can do without a value; ``missing``: values were missing in training (None: not known).
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    nullable: bool = True
    missing: bool | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output: its name, its type in the words of the Open Inference Protocol, and its shape behind the rows."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()

    @property
    def kind(self) -> OutputKind:
        """How the decision log keeps a row of it."""
        if self.shape:
            return "texts" if self.datatype == "BYTES" else "list"
        if self.datatype == "BYTES":
            return "text"
        return "bool" if self.datatype == "BOOL" else "float" if self.datatype.startswith("FP") else "int"


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What a checked release says about one version: everything that is needed to load and serve it.

    ``release`` is the digest of the signed statement. ``digest`` names the model's bytes, ``sample`` those of a few
    rows (Parquet) that it was registered with. ``view`` declares how the inputs are computed, when a view makes them.
    ``classes`` are a classifier's labels in the order of its probabilities. ``stages`` and ``percent`` are how far its
    approval goes, ``endpoint`` is where it holds (None: anywhere), and from ``expires_at`` on (None: never) it is no
    longer loaded or routed anew.
    """

    model: str
    version: int
    release: str
    format: str
    digest: str
    inputs: tuple[Input, ...]
    task: Literal["classification", "regression"] | None = None
    classes: tuple[str | int | float | bool, ...] = ()
    sample: str | None = None
    view: FeatureViewSpec | None = None
    stages: tuple[Stage, ...] = ("shadow", "canary", "full")
    percent: float = 100.0
    endpoint: str | None = None
    expires_at: datetime | None = None

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.version}"

    def may_begin(self, at: datetime) -> None:
        """Raise ``NotServable`` when its approval is over at this moment, so that it is not loaded or routed anew."""
        if self.expires_at is not None and at >= self.expires_at:
            raise NotServable(
                f"the approval of {self.ref} has expired",
                where=f"version {self.ref}",
                why=f"It held until {self.expires_at:%Y-%m-%d %H:%M} UTC. What is loaded already goes on answering; "
                "nothing is loaded or routed anew.",
                version=self.ref,
            )

    def may_serve(self, stage: Stage, *, percent: float | None, endpoint: str) -> None:
        """Raise ``NotServable`` for a place, an endpoint or a share that the approval does not allow."""
        if self.endpoint not in (None, endpoint):
            raise NotServable(
                f"{self.ref} is not approved for the endpoint {endpoint}",
                where=f"endpoint {endpoint}",
                why=f"Its release is for the endpoint {self.endpoint}, and holds at no other.",
                next=f"route it at {self.endpoint}, or register it again and approve it for {endpoint}",
                version=self.ref,
            )
        if stage not in self.stages or (percent or 0.0) > self.percent:
            allowed = ", ".join(self.stages) or "no stage"
            wanted = f"{stage} with {percent:g} % of the traffic" if percent is not None else stage
            raise NotServable(
                f"{self.ref} is not approved for {wanted}",
                where=f"version {self.ref}",
                why=f"Its approval goes as far as {allowed}, with at most {self.percent:g} % of the traffic.",
                next="route it within its approval, or register it again and approve it for more",
                version=self.ref,
            )


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to decide on: columns by name, all of one length, holding plain Python values.

    ``matrix`` gives all columns at once instead, in the model's order, as rows of numbers. ``version`` asks for one
    routed version; ``id`` is the caller's name for the request.
    """

    columns: Mapping[str, Sequence[Any]] = {}
    matrix: Any = None
    version: int | None = None
    id: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One served prediction, as the decision log holds it.

    ``at`` is when it was answered, ``as_of`` the moment at which its features were read. ``release`` is the digest
    of the signed statement under which ``model``@``version`` was loaded. ``ages_s`` are seconds, one for each value;
    None where a value was given with the request or is missing. ``result`` is what the caller got, by output.
    ``mirrors`` is, for a shadow's decision, the id of the one that was answered. ``broken`` says in words what the
    request's values break of the contract, where such rows are answered all the same. ``latency_us`` is 0 where the
    clock stood still meanwhile, as in a replay.
    """

    id: str
    at: datetime
    as_of: datetime
    endpoint: str
    model: str
    version: int
    release: str
    stage: Stage
    reason: str
    source: Source
    key: dict[str, Any] | None
    columns: tuple[str, ...]
    values: tuple[Scalar, ...]
    ages_s: tuple[float | None, ...] | None
    result: dict[str, Any]
    latency_us: int
    mirrors: str | None = None
    broken: tuple[str, ...] = ()

    @property
    def features(self) -> dict[str, Scalar]:
        """The feature values by name, in the model's order."""
        return dict(zip(self.columns, self.values, strict=True))

    @property
    def took_s(self) -> float | None:
        """Seconds from the question to the answer; None where the clock stood still."""
        return self.latency_us / 1e6 or None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request gets back: the decisions' ids, in the order of the rows, and one list for each output.

    ``versions`` holds the version that answered each row; ``version`` is theirs when it is one, else the champion's.
    ``form`` describes the outputs.
    """

    model: str
    version: int
    decision_ids: list[str]
    versions: list[int] | None
    outputs: dict[str, list[Any]]
    form: tuple[Output, ...]
