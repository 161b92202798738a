"""Models: how to learn from a view, what is good enough, how it reaches people, and when to learn again."""

import inspect
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, Generic, Literal, ParamSpec, TypeVar

import msgspec

from trimtab.declare.asking import answers
from trimtab.declare.code import code_digest
from trimtab.declare.columns import NumberColumn, TimeColumn, field_named
from trimtab.declare.conditions import Policy
from trimtab.declare.durations import DurationLike, duration_text, frequency_of, seconds_of, span_of
from trimtab.declare.expressions import Test
from trimtab.declare.judging import accepted, checked
from trimtab.declare.labels import label_of, matured
from trimtab.declare.mistakes import BadModel
from trimtab.declare.places import here
from trimtab.declare.records import FeatureViewSpec, Label, ModelSpec, RetrainingSpec, ServingSpec
from trimtab.declare.registry import note
from trimtab.declare.render import quoted, show
from trimtab.declare.rollouts import Rollout, check_whole, full
from trimtab.declare.spelling import is_name, said
from trimtab.declare.views import FeatureView

P = ParamSpec("P")
R = TypeVar("R")


class Approver(msgspec.Struct, frozen=True):
    """Who says yes. Made by ``tt.by``."""

    name: str
    is_other: bool = False
    expires_s: float | None = None

    def other_than_author(self) -> "Approver":
        """Ask for two persons: who trained or registered a version, or wrote its code, cannot approve it."""
        return msgspec.structs.replace(self, is_other=True)

    def __repr__(self) -> str:
        expires = f", expires={quoted(duration_text(self.expires_s))}" if self.expires_s else ""
        return f"tt.by({quoted(self.name)}{expires})" + (".other_than_author()" if self.is_other else "")


def by(name: str, *, expires: DurationLike | None = None) -> Approver:
    """Name the person or group who approves: ``approve=tt.by("ops-lead")``. Raises ``BadModel`` and ``BadDuration``.

    ``tt.by("ops-lead").other_than_author()`` asks for two persons: nobody approves their own work then. With
    ``expires="180d"`` an approval holds for so long: then the version is approved again, or not loaded or routed anew.
    """
    if not isinstance(name, str) or not name.strip():
        raise BadModel(
            f"tt.by({name!r}) names nobody",
            where=here(),
            why="An approval is given by somebody.",
            next='write for example tt.by("ops-lead")',
        )
    return Approver(name.strip(), expires_s=None if expires is None else seconds_of(expires, what="expires"))


class Model(Generic[P, R]):
    """A declared model. It is still its train function: ``late(X, y)`` fits in a notebook, with no platform running."""

    def __init__(self, spec: ModelSpec, function: Callable[P, R]) -> None:
        self._spec = spec
        self._function = function
        self._said: dict[str, str] = {}
        update_wrapper(self, function)
        note(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def spec(self) -> ModelSpec:
        """The model, with all that was said about it so far, as a frozen value."""
        return msgspec.structs.replace(self._spec, code=code_digest(self._function))

    @property
    def versions(self) -> Mapping[int | str, Any]:
        """The registered versions as they stand now, by number or alias: ``late.versions["champion"]``.

        Empty before the first one is registered. A number or an alias that names none raises ``VersionMissing``, which
        is also a ``KeyError``.
        """
        return answers().versions(self.name)

    def rollback(self, because: str = "") -> Any:
        """Let the version before the present one answer again; return the endpoint as it is then routed.

        Model, features, preprocessing and thresholds go back together; a running server takes it up within a second.
        Raises ``NoEndpoint`` where nothing answers, and ``NothingBefore`` where no version was replaced.
        """
        return answers().rollback(self.name, because=because)

    def accept_if(self, *conditions: Policy) -> "Model[P, R]":
        """Say what is good enough: a version that fails a condition is approved only with a reason of its own.

        They are judged on the held-out rows, before the version serves. Raises ``BadPolicy``.
        """
        accept = accepted(conditions, view=self._spec.view, label=self._spec.label)
        return self._say("accept_if", accept=accept)

    def serve(
        self, *, rollout: Rollout = full, roll_back_if: Policy | None = None, sticky_by: str | None = None,
        broken_rows: Literal["refuse", "flag"] = "refuse",
    ) -> "Model[P, R]":  # fmt: skip
        """Say how an approved version reaches people, and what brings the one before it back.

        ``sticky_by`` names a field of the view's own contract: requests with the same value meet the same version
        during a canary. A request with a row that breaks its contract is refused; with ``broken_rows="flag"`` such a
        row is answered, and its decision says what it breaks. Raises ``BadRollout``, ``BadPolicy`` or ``BadModel``.
        """
        if broken_rows not in ("refuse", "flag"):
            raise BadModel(
                f"broken_rows={broken_rows!r} says nothing about rows that break their contract",
                where=here(),
                why="A request with such a row is refused, or the row is answered and flagged.",
                next='write broken_rows="refuse" or broken_rows="flag"',
            )
        view, label = self._spec.view, self._spec.label
        policy = None if roll_back_if is None else checked(roll_back_if, "roll_back", view=view, label=label)
        if sticky_by is not None:
            field_named(view.of, sticky_by)
        serving = ServingSpec(
            rollout=check_whole(rollout), roll_back_if=policy, sticky_by=sticky_by,
            broken_rows=msgspec.UNSET if broken_rows == "refuse" else broken_rows,
        )  # fmt: skip
        return self._say("serve", serving=serving)

    def retrain_when(
        self,
        policy: Policy,
        *,
        at_most: DurationLike | None = None,
        steady: DurationLike | None = None,
        budget: int | None = None,
        approve: Approver | None = None,
    ) -> "Model[P, R]":
        """Say when to learn again, how often ``at_most`` (``"once a week"``), and who approves what comes of it.

        ``steady`` is how long the policy has to hold without a break (``"12h"``), ``budget`` how many turns of the loop
        may begin within 365 days.
        """
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
            raise BadModel(
                f"budget={budget!r} is no number of turns",
                where=here(),
                why="It is how many turns of the loop may begin within 365 days.",
                next="write for example budget=12",
            )
        if approve is not None and not isinstance(approve, Approver):
            raise BadModel(
                f"approve={approve!r} names nobody",
                where=here(),
                why="Who approves is said by tt.by.",
                next=f"write approve=tt.by({approve!r})"
                if isinstance(approve, str)
                else 'write approve=tt.by("ops-lead")',
            )
        retraining = RetrainingSpec(
            when=checked(policy, "retrain", view=self._spec.view, label=self._spec.label),
            at_most_s=None if at_most is None else frequency_of(at_most, what="at_most"),
            steady_s=None if steady is None else seconds_of(steady, what="steady"),
            budget=budget,
            approve_by=None if approve is None else approve.name,
            other_than_author=approve is not None and approve.is_other,
            expires_s=msgspec.UNSET if approve is None or approve.expires_s is None else approve.expires_s,
        )
        return self._say("retrain_when", retraining=retraining)

    def __repr__(self) -> str:
        spec = self._spec
        label = show(spec.label.expression)
        given = ", ".join(
            ["X", "y", *(["weights"] if spec.immature else []), *(f"{n}={v!r}" for n, v in spec.params.items())]
        )
        matures = f", matures={_maturity(spec.label, spec.view.of.name)}" if spec.label.has_maturity else ""
        immature = f", immature={quoted(spec.immature)}" if spec.immature else ""
        return (
            f"@tt.model({spec.view.name}, label={label}{matures}{immature}, train={quoted(spec.train.text)}, "
            f"test={quoted(spec.test.text)}) {spec.function}({given})"
        )

    def _say(self, verb: str, **parts: Any) -> "Model[P, R]":
        where = here()
        # The same line again is a notebook's cell that was run again; another line is a second opinion.
        if self._said.get(verb, where) != where:
            raise BadModel(
                f"{self.name}.{verb} is said twice",
                where=where,
                why=f"The first time is at {self._said[verb]}; one of them would silently lose.",
                next=f"say everything in one {verb}(...)",
            )
        self._said[verb] = where
        self._spec = msgspec.structs.replace(self._spec, **parts)
        return self


class ModelDecorator:
    """What ``@tt.model(...)`` is before it meets its function."""

    def __init__(self, view: FeatureViewSpec, label: Label, parts: dict[str, Any]) -> None:
        self._view = view
        self._label = label
        self._parts = parts

    def __call__(self, function: Callable[P, R]) -> Model[P, R]:
        where = self._parts["where"]
        name = getattr(function, "__name__", "")
        if not callable(function) or isinstance(function, type | Model) or not is_name(name):
            raise BadModel(
                f"@tt.model stands above {function!r}",
                where=where,
                why="A model is a named function of the project's file that fits and returns an estimator.",
                next="write def late(X, y): ... below it",
            )
        description = self._parts["description"] or (function.__doc__ or "").strip().partition("\n")[0]
        spec = ModelSpec(
            name=name, view=self._view, label=self._label, function=name,
            params=_params(function, name, where, given=3 if self._parts["immature"] else 2),
            **{**self._parts, "description": description},
        )  # fmt: skip
        return Model(spec, function)


def model(
    view: FeatureView, *, label: Test | NumberColumn, matures: DurationLike | TimeColumn | None = None,
    immature: Literal["weight"] | None = None, train: str = "all history", test: str = "last 14 days",
    seed: int = 0, quantile: float = 0.5, owner: str = "", description: str = "",
) -> ModelDecorator:  # fmt: skip
    """Declare that the function below learns ``label`` from ``view``: ``function(X, y, **params)`` returns it fitted.

    ``train`` and ``test`` are spans of time, ``"all history"`` or ``"last 60 days"``; the test span is the newest and
    is never trained on.

    ``matures`` says when a label is final: an age, counted from the decision (``"30d"``), or a time column of the row.
    A row that is younger is neither trained on nor judged by, before the test span as after it, and no figure in
    service is made of it. Without it the age is measured from the data; it is 0 where all outcomes become known at
    much the same age. With ``immature="weight"`` rows that are known and not final are trained on, each weighing the
    inverse of how probable it was to be known at its age: ``function(X, y, weights, **params)``. That is right as long
    as how late an outcome becomes known depends on the outcome alone, and not on the features.

    ``quantile`` says what a model of numbers predicts when that is no median or mean: ``tt.pinball`` is measured at
    it. What follows ``X, y`` in the signature are parameters with defaults. Raises ``BadModel`` and ``BadDuration``.
    """
    where = here()
    if not isinstance(view, FeatureView):
        raise BadModel(
            f"tt.model is given {view!r}, which is no feature view",
            where=where,
            why="A model learns from the columns of one view.",
            next="write delay = tt.features(...), and tt.model(delay, ...)",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise BadModel(
            f"seed={seed!r} is no seed",
            where=where,
            why="A seed is a whole number from 0 up to 2**32, so that training can be repeated.",
            next="write for example seed=7",
        )
    _check_quantile(quantile, label)
    if immature not in (None, "weight"):
        raise BadModel(
            f"immature={immature!r} is not known",
            where=where,
            why="Rows whose label is not final are left out, or trained on by their weight.",
            next='leave immature out, or write immature="weight"',
        )
    tested = span_of(test, what="test")
    if tested.seconds is None:
        raise BadModel(
            f"test={test!r} leaves nothing to train on",
            where=where,
            why="The test span is the newest stretch of time; what lies before it is trained on.",
            next='write for example test="last 14 days"',
        )
    parts = {
        "train": span_of(train, what="train"), "test": tested, "seed": seed, "quantile": quantile,
        "owner": said(owner, "owner", most=200), "description": said(description, "description"), "where": where,
        "immature": immature or msgspec.UNSET,
    }  # fmt: skip
    return ModelDecorator(view.spec, matured(label_of(label, view.spec), matures, view.spec), parts)


def _maturity(label: Label, of: str) -> str:
    return quoted(duration_text(label.matures_s)) if label.matures_s else f"{of}.{label.matures_at}"


def _check_quantile(quantile: object, label: object) -> None:
    is_share = isinstance(quantile, int | float) and not isinstance(quantile, bool) and 0 < quantile < 1
    if is_share and (quantile == 0.5 or not isinstance(label, Test)):
        return
    raise BadModel(
        f"quantile={quantile!r} is not between 0 and 1" if not is_share else "a yes or no has no quantile",
        where=here(),
        why="It says which quantile of a number the model predicts: 0.9 lies above nine outcomes of ten.",
        next="write for example quantile=0.9" if not is_share else "leave quantile out",
    )


def _params(function: Callable[..., Any], name: str, where: str, *, given: int) -> dict[str, Any]:
    """Return what follows ``X, y`` (and ``weights``, when 3 are ``given``) in a train function's signature."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(positional) < given or any(one.default is not one.empty for one in positional[:given]):
        what, words = "the rows and their labels", "X, y"
        if given > 2:
            what, words = "the rows, their labels and their weights", "X, y, weights"
        raise BadModel(
            f"{name} does not take {what}",
            where=where,
            why=f"Trimtab calls a train function with {'both' if given == 2 else 'all three'}, in this order.",
            next=f"write def {name}({words}, ...)",
        )
    params = {}
    for one in parameters:
        if one in positional[:given]:
            continue
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) or one.default is one.empty:
            raise BadModel(
                f"{name} takes {one}, which has no default",
                where=where,
                why="Parameters are recorded with each version, and tried with other values.",
                next=f"write {one.name}=... with a default" if one.default is one.empty else "name each parameter",
            )
        if not _plain(one.default):
            raise BadModel(
                f"{name} takes {one.name}={one.default!r}, which cannot be recorded",
                where=where,
                why="Parameters are numbers, texts, True, False, None, and lists of these.",
                next=f"make {one.name} a plain value, and build the object inside {name}",
            )
        params[one.name] = one.default
    return params


def _plain(value: object) -> bool:
    if isinstance(value, float):
        return abs(value) < float("inf")
    if isinstance(value, int):
        return abs(value) < 2**53
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, str)
