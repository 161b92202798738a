"""Geometry of charts: numbers in, SVG paths and labels out. The templates turn them into marks."""

from trimtab.ui.draw.chart import Chart, Series, line_chart
from trimtab.ui.draw.graph import Graph, Node, layered_graph
from trimtab.ui.draw.histogram import Histogram, histogram_pair, spark_bars
from trimtab.ui.draw.marks import Share, Whisker, shares_of, whisker_of
from trimtab.ui.draw.strip import Strip, time_strip
from trimtab.ui.draw.thin import thin
from trimtab.ui.draw.tracks import Lane, Stretch, Tracks, time_tracks

__all__ = [
    "Chart", "Graph", "Histogram", "Lane", "Node", "Series", "Share", "Stretch", "Strip", "Tracks", "Whisker",
    "histogram_pair", "layered_graph", "line_chart", "shares_of", "spark_bars", "thin", "time_strip", "time_tracks",
    "whisker_of",
]  # fmt: skip
