"""``/ui/kit``: every component once, with invented values, to look at them side by side."""

import math
from datetime import timedelta

from fairlead.evaluation import EvidenceLine, Verdict
from fairlead.kernel import Body, Call, Route
from fairlead.ui.draw import (
    Node,
    Series,
    histogram_pair,
    layered_graph,
    line_chart,
    shares_of,
    spark_bars,
    time_strip,
    whisker_of,
)
from fairlead.ui.screen import Desk, shown_at
from fairlead.ui.screens.evaluation import gate_lines

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
            gate=gate_lines(INVENTED),
        )  # fmt: skip

    return [shown_at("/ui/kit", show, about="Every component of the pages")]
