"""``/ui/models/{model}/{version}``: what a version is bound to, how good it is line by line, and what was decided."""

from trimtab.evaluation import Report
from trimtab.kernel import Body, Call, Route
from trimtab.registry import approval_state, get_model, get_version, list_approvals, list_releases
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.evaluation import MetricLine, gate_lines, metric_lines, saved_evaluation

AT = "/ui/models"
HEADLINE = ("auc", "log_loss", "brier", "calibration_error", "rmse", "mae", "r2")
"""The metrics that stand on a version's own page; its evaluation's page has all of them."""


def routes(desk: Desk) -> list[Route]:
    """Return the page of a version."""
    store = desk.rooms.store

    def version(call: Call) -> Body:
        found = get_version(store, f"{call.path['model']}@{call.path['version']}")
        model = get_model(store, found.model)
        saved, trouble = saved_evaluation(store, found.evaluation_id)
        report = saved.report if saved else None
        return desk.pages.page(
            call, "version.html", at=AT, version=found, model=model, saved=saved, trouble=trouble, report=report,
            aliases=[alias for alias, number in model.aliases.items() if number == found.number],
            approvals=list_approvals(store, found), releases=list_releases(store, found),
            state=approval_state(store, found), gate=gate_lines(report.verdict if report else None),
            metrics=_headline(report),
        )  # fmt: skip

    return [shown_at(f"{AT}/{{model}}/{{version}}", version, about="One version: lineage, evaluation, approvals")]


def _headline(report: Report | None) -> list[MetricLine]:
    lines = metric_lines(report.evaluation, report.comparison) if report else []
    return [line for line in lines if line.name in HEADLINE]
