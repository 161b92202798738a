"""Replay several policies and draw what each costs against what it gives: the frontier that one chooses a policy by."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

import msgspec

from trimtab.declare import AnyOf, AtApproval, Condition, Every, Metric, ModelSpec, Project, RetrainingSpec, Scaled
from trimtab.loop.report import ReplayReport

DAY_S = 86400.0
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 64, 48, 24, 24


def policies(
    model: ModelSpec, *, asked: RetrainingSpec | None = None
) -> Iterator[tuple[str, RetrainingSpec | None]]:  # fmt: skip
    """Yield the policies that a comparison replays beside the declared one, and that which was asked for, by name.

    Never; when the last 7 days' loss lies 10 % above its level at approval; every 30 days; every week behind the gate.
    """
    loss = Metric(name="log_loss" if model.label.task == "classification" else "rmse", over_s=7 * DAY_S)
    worse = Condition(left=loss, op=">", right=Scaled(metric=AtApproval(), factor=1.10))
    by = model.retraining.approve_by if model.retraining else None
    if model.retraining is not None:
        yield "declared", model.retraining
    if asked is not None:
        yield "asked", asked
    yield "never", None
    yield "loss +10 %", RetrainingSpec(when=worse, at_most_s=7 * DAY_S, approve_by=by)
    yield "every 30 days", RetrainingSpec(when=AnyOf(terms=(Every(seconds=30 * DAY_S),)), approve_by=by)
    yield "every week", RetrainingSpec(when=AnyOf(terms=(Every(seconds=7 * DAY_S),)), approve_by=by)


def with_policy(project: Project, policy: RetrainingSpec | None) -> Project:
    """Return a project whose first model retrains by another policy."""
    first, *others = project.spec.models
    changed = msgspec.structs.replace(first, retraining=policy)
    spec = msgspec.structs.replace(project.spec, models=(changed, *others))
    return msgspec.structs.replace(project, spec=spec)


def table_of(reports: Sequence[tuple[str, ReplayReport]]) -> Iterator[str]:
    """Write a comparison as a table, one line for each policy."""
    heads = f"{'turns':>7}{'promoted':>10}{'rolled back':>13}{'pages':>7}{'training':>11}"
    yield f"{'policy':<16}{'loss':>9}{'AUC':>8}{heads}"
    for name, one in reports:
        loss, auc = (f"{value:.4f}" if value is not None else "-" for value in (one.loss, one.auc))
        yield (
            f"{name:<16}{loss:>9}{auc:>8}{one.turns:>7}{one.promoted:>10}{one.rolled_back:>13}{one.pages:>7}"
            f"{one.training_s / 60:>7.1f} min"
        )


def picture_of(reports: Sequence[tuple[str, ReplayReport]]) -> str:
    """Draw loss against turns as SVG; the area of a point grows with the minutes of training.

    A policy whose loss is not known, since no outcome was by then, has no point.
    """
    points = [(name, one.turns, one.loss, one.training_s) for name, one in reports if one.loss is not None]
    losses = [loss for _, _, loss, _ in points] or [0.0]
    low, high = min(losses), max(losses)
    margin = (high - low) * 0.12 or 0.01
    low, high = low - margin, high + margin
    most = max((turns for _, turns, _, _ in points), default=0) or 1
    longest = max((seconds for *_, seconds in points), default=0.0) or 1.0

    def x(turns: float) -> float:
        return LEFT + turns / most * (WIDTH - LEFT - RIGHT - 90)

    def y(loss: float) -> float:
        return TOP + (high - loss) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="12">',
        "<style>text { font-family: system-ui, sans-serif }</style>",
        "<title>Loss against turns of the loop, by retraining policy</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#66686d"/>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end">turns of the loop</text>',
        f'<text x="12" y="{TOP - 8}">mean monthly loss</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        loss = low + share * (high - low)
        parts.append(f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end" fill="#66686d">{loss:.3f}</text>')
        parts.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}" stroke="#e6e5e1"/>')
        turns = round(share * most)
        parts.append(f'<text x="{x(turns):.1f}" y="{HEIGHT - BOTTOM + 18}" fill="#66686d">{turns}</text>')
    for name, turns, loss, seconds in points:
        radius = 4 + 8 * (seconds / longest) ** 0.5
        parts.append(f'<circle cx="{x(turns):.1f}" cy="{y(loss):.1f}" r="{radius:.1f}" fill="#2f5fd0" opacity="0.8"/>')
        label = f"{name}: {loss:.4f}, {seconds / 60:.1f} min"
        parts.append(f'<text x="{x(turns) + radius + 4:.1f}" y="{y(loss) + 4:.1f}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>\n"])
