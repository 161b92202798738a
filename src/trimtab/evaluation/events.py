"""What evaluation tells the ledger."""

from trimtab.store import Event, Subject


class EvaluationSaved(Event, frozen=True, kw_only=True):
    """A model's predictions were measured and judged. ``passed`` is None when no gate was asked."""

    type = "evaluation.evaluation-saved"

    evaluation: str
    report_digest: str
    model_digest: str
    dataset_digest: str
    code_digest: str
    rows_digest: str
    n: int
    seed: int
    passed: bool | None
    verdict_digest: str | None
    policy_digest: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("evaluation", self.evaluation, self.report_digest),)

    def after(self) -> str | None:
        return self.report_digest
