"""Evaluations, asked of a server."""

from trimtab.client.project import answers
from trimtab.evaluation import EvaluationPage, SavedEvaluation, get_evaluation, list_evaluations
from trimtab.kernel import Remote

PAGE = 500


@answers(get_evaluation)
def _evaluation(server: Remote, id: str) -> SavedEvaluation:
    return server.get(SavedEvaluation, "evaluations", id)


@answers(list_evaluations)
def _evaluations(
    server: Remote, *, model_digest: str | None = None, limit: int = 50, cursor: str | None = None
) -> EvaluationPage:
    found, following = server.listed(
        EvaluationPage, "evaluations", limit=limit, page=PAGE, cursor=cursor, model_digest=model_digest
    )
    return EvaluationPage(items=tuple(found), next=following)
