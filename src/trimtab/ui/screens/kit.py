"""``/ui/kit``: every component once, with invented values, to look at them side by side."""

import math
from datetime import datetime, timedelta

from trimtab.evaluation import EvidenceLine, Verdict
from trimtab.kernel import Body, Call, Route
from trimtab.monitoring import Alert
from trimtab.ui.draw import (
    Lane,
    Node,
    Series,
    Stretch,
    Tracks,
    histogram_pair,
    layered_graph,
    line_chart,
    shares_of,
    spark_bars,
    time_strip,
    time_tracks,
    whisker_of,
)
from trimtab.ui.phases import Phase
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.alarms import AlarmLine
from trimtab.ui.screens.evaluation import gate_lines
from trimtab.ui.screens.monitor import Waiting
from trimtab.ui.stages import Step

MOVES = (
    ("2013-06-07 04:00", "training", "prediction drift 0.11 above 0.10", ("drift.of_prediction 0.11 > 0.10",)),
    ("2013-06-07 04:12", "waiting", "late@4 is good enough, and waits for a yes", ()),
)
INVENTED = Verdict(passed=False, policy="", lines=(
    EvidenceLine(text="AUC is 0.731 (0.718 to 0.744, 12,006 rows), at least 0.65", condition="AUC is at least 0.65",
                 observed=0.731, low=0.718, high=0.744, threshold=0.65, passed=True),
    EvidenceLine(text="the gap of recall by origin is 0.31 (0.2 to 0.4), more than 0.25", threshold=0.25,
                 condition="the gap of recall by origin is at most 0.25", observed=0.31, low=0.2, high=0.4,
                 passed=False),
))  # fmt: skip


def routes(desk: Desk) -> list[Route]:
    """Return the page of components."""

    def show(call: Call) -> Body:
        now = desk.rooms.store.clock.now()
        steps = range(1, 61)
        curves = [
            Series(name="train loss", points=[(s, 0.35 + 0.34 * math.exp(-s / 14)) for s in steps]),
            Series(name="test loss", points=[(s, 0.47 + 0.22 * math.exp(-s / 11) + s / 3000) for s in steps],
                   low=[0.46 + 0.21 * math.exp(-s / 11) for s in steps],
                   high=[0.49 + 0.23 * math.exp(-s / 11) + s / 2000 for s in steps]),
        ]  # fmt: skip
        days = [((now - timedelta(days=30 - d)).timestamp(), 0.70 + 0.03 * math.sin(d / 4)) for d in range(31)]
        edges = [i * 5.0 for i in range(-4, 17)]
        normal = [math.exp(-(((x + 2.5) - 12) ** 2) / 200) for x in edges[:-1]]
        later = [math.exp(-(((x + 2.5) - 22) ** 2) / 260) for x in edges[:-1]]
        times = [now - timedelta(minutes=13 * i + (i * i) % 47) for i in range(1, 100)]
        graph = [
            Node(name="snapshot-flights", said="336 776 rows, 4.1 s", tone="ok"),
            Node(name="snapshot-weather", said="26 115 rows, cached", tone="ok"),
            Node(name="features-delay", needs=("snapshot-flights", "snapshot-weather"), said="12 columns, 3.0 s",
                 tone="ok"),
            Node(name="train-late", needs=("features-delay",), said="running, 80 of 120", tone="go"),
            Node(name="evaluate-late", needs=("train-late", "features-delay"), said="waiting", tone="wait"),
            Node(name="register-late", needs=("evaluate-late", "train-late"), said="waiting", tone="wait"),
        ]  # fmt: skip
        return desk.pages.page(
            call, "kit_page.html", at="/ui/kit",
            curves=line_chart(curves, x_name="step"), days=line_chart([Series(name="auc", points=days)], x="time",
            x_name="day", mark=0.72), histogram=histogram_pair(
                edges, normal, name="now", other=later, other_name="training"
            ),
            strip=time_strip(times, bad=times[4:9], start=now - timedelta(hours=24), end=now, slices=48, noun="steps"),
            graph=layered_graph(graph), shares=shares_of([("late@3 champion", 75), ("late@4 canary", 25)]),
            whisker=whisker_of(0.73, 0.71, 0.745, scale=(0.6, 0.8), mark=0.65), spark=spark_bars(normal), when=now,
            gate=gate_lines(INVENTED), phases=_phases(now), steps=_steps(now), tracks=_tracks(now), moves=MOVES,
            labelled=_labelled(), alarm=_alarm(now),
        )  # fmt: skip

    return [shown_at("/ui/kit", show, about="Every component of the pages")]


def _phases(now: datetime) -> tuple[Phase, ...]:
    said = (
        ("Data", "ok", "kept", "336 776 rows, 2 sources"), ("Features", "ok", "online", "12 columns"),
        ("Training", "ok", "succeeded", "8 of 8 steps"), ("Evaluation", "ok", "passed", "log loss 0.478"),
        ("Registry", "wait", "candidate", "late@4 waits for ops-lead"), ("Serving", "ok", "ready", "late@3"),
        ("Monitoring", "bad", "1 alarm", "log loss 0.52 over 7 d"), ("Retraining", "wait", "waiting", "late@4: drift"),
        ("Governance", "ok", "valid", "late@3, ops-lead said yes"),
    )  # fmt: skip
    return tuple(
        Phase(name=name, tone=tone, word=word, fact=fact, at=now - timedelta(hours=3 * i + 1))
        for i, (name, tone, word, fact) in enumerate(said)
    )


def _steps(now: datetime) -> tuple[Step, ...]:
    ago = timedelta(hours=9)
    return (
        Step(name="training", place="done", tone="ok", at=now - 4 * ago),
        Step(name="approval", place="done", tone="ok", at=now - 3 * ago),
        Step(name="shadow", place="done", tone="ok", at=now - 2 * ago),
        Step(name="5 % canary", place="now", tone="go", at=now - ago, left_s=10_800.0),
        Step(name="full", place="next", tone="off"),
        Step(name="verdict", place="next", tone="off"),
    )


def _tracks(now: datetime) -> Tracks | None:
    day = timedelta(days=1)
    return time_tracks([
        Lane(name="late@4", said="canary", stretches=[
            Stretch(start=now - 3 * day, end=now - 2 * day, tone="wait", text="shadow"),
            Stretch(start=now - 2 * day, end=now, tone="half", text="canary"),
        ]),
        Lane(name="late@3", said="kept", stretches=[
            Stretch(start=now - 9 * day, end=now - 8 * day, tone="wait", text="shadow"),
            Stretch(start=now - 8 * day, end=now - 7 * day, tone="half", text="canary"),
            Stretch(start=now - 7 * day, end=now - 4 * day, tone="go", text="full"),
            Stretch(start=now - 4 * day, end=now - 4 * day, tone="ok", text="kept"),
        ]),
        Lane(name="late@2", said="rolled back", stretches=[
            Stretch(start=now - 12 * day, end=now - 11 * day, tone="wait", text="shadow"),
            Stretch(start=now - 11 * day, end=now - 11 * day, tone="bad", text="rolled back"),
        ]),
    ])  # fmt: skip


def _labelled() -> tuple[Waiting, ...]:
    waiting = [0] * 18 + [4, 9, 16, 24, 30, 36]
    return tuple(
        Waiting(
            x=f"{i * 41.6 + 1:.4g}", width="39", top="3", waits=f"{wait}", y=f"{3 + wait}", known=f"{40 - wait}",
            text=f"40 decisions, {wait} wait",
        )
        for i, wait in enumerate(waiting)
    )  # fmt: skip


def _alarm(now: datetime) -> AlarmLine:
    alert = Alert(
        id="0", endpoint="late", kind="drift", group="drift", severity="page", state="acknowledged",
        title="visib and wind_speed of late@3 have drifted on 2013-06-07", raised_at=now - timedelta(hours=5),
        lines=("visib is lower than in the reference; 21% of the rows lie elsewhere",), acknowledged_by="ben",
        because="a storm; no retraining",
    )  # fmt: skip
    return AlarmLine(alert, "go", "taken on", quiet=False)
