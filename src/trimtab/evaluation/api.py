"""Routes of the evaluation room: saved evaluations, as a list and one by one."""

from trimtab.evaluation.records import SavedEvaluation
from trimtab.evaluation.save import EvaluationPage, get_evaluation, list_evaluations
from trimtab.kernel import CURSOR, PROJECT, Call, Invalid, Permission, Query, Route, limit_query
from trimtab.store import Store

LIMIT = 50
MOST_ITEMS = 500


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""

    def evaluations(call: Call) -> EvaluationPage:
        return list_evaluations(
            store,
            model_digest=call.query.get("model_digest"),
            limit=_limit(call.query.get("limit", str(LIMIT))),
            cursor=call.id_cursor(),
        )

    def evaluation(call: Call) -> SavedEvaluation:
        return get_evaluation(store, call.path["id"])

    return [
        Route(
            method="GET", path="/api/v1/evaluations", permission=Permission.READ, resource=PROJECT, handler=evaluations,
            summary="List evaluations, newest first.", response=EvaluationPage,
            query=(
                Query(name="model_digest", meaning="Only evaluations of the model with these bytes: sha256:..."),
                limit_query(LIMIT, most=MOST_ITEMS), CURSOR,
            ),
        ),
        Route(
            method="GET", path="/api/v1/evaluations/{id}", permission=Permission.READ, resource=PROJECT,
            handler=evaluation,
            summary="One evaluation: metrics with intervals, slices, fairness, curves, comparison and verdict.",
            response=SavedEvaluation,
        ),
    ]  # fmt: skip


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MOST_ITEMS:
        raise Invalid(
            f"limit is {text[:40]!r}",
            where="query parameter limit",
            why=f"A page holds 1 to {MOST_ITEMS} items.",
            next="pass for example limit=50",
        )
    return int(text)
