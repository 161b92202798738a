"""What a declaration says of a model's rollout and of who approves it, in words for plans and proposals."""

from trimtab.declare import RetrainingSpec, ServingSpec, Stage, describe, duration_text
from trimtab.loop.records import ModelPolicy

NOTHING = "nothing"


def stage_text(stage: Stage) -> str:
    """Write a stage of a rollout: ``canary 5% 12h``."""
    share = {"shadow": "shadow", "canary": f"canary {stage.percent:g}%", "full": "full"}[stage.kind]
    least = f" and {stage.decisions} decisions" if stage.decisions else ""
    return f"{share} {duration_text(stage.hold_s)}{least}" if stage.hold_s else share


def rollout_text(serving: ServingSpec) -> str:
    """Write a whole rollout, its stages in their order."""
    return " > ".join(stage_text(stage) for stage in serving.rollout)


def approver_text(retraining: RetrainingSpec | None) -> str:
    """Say who approves: ``ops-lead, other than the author``; empty when nobody is asked for."""
    if retraining is None or retraining.approve_by is None:
        return ""
    return f"{retraining.approve_by}, other than the author" if retraining.other_than_author else retraining.approve_by


def expiry_text(retraining: RetrainingSpec | None) -> str:
    """Say for how long an approval holds, empty when for good."""
    return duration_text(retraining.expires_s) if retraining is not None and retraining.expires_s else ""


def how_often(retraining: RetrainingSpec) -> str:
    """Say how often a retraining policy may act."""
    parts = [f"at most every {duration_text(retraining.at_most_s)}"] if retraining.at_most_s else []
    parts += [f"when it holds for {duration_text(retraining.steady_s)}"] if retraining.steady_s else []
    parts += [f"at most {retraining.budget} times a year"] if retraining.budget else []
    return ", ".join(parts)


def differences(was: ModelPolicy, now: ModelPolicy) -> tuple[str, ...]:
    """Say line by line what another policy changes."""
    if now.removed:
        return ("the model is no longer declared",)
    before, after = _said(was), _said(now)
    return tuple(
        f"{name}: {before[name] or NOTHING}, then {after[name] or NOTHING}"
        for name in before
        if before[name] != after[name]
    )


def _said(policy: ModelPolicy) -> dict[str, str]:
    """Return every part of a policy in words, empty where nothing is asked for."""
    serving, retraining = policy.serving, policy.retraining
    return {
        "approved by": approver_text(retraining),
        "approved for": expiry_text(retraining),
        "accepted if": " and ".join(describe(condition) for condition in policy.accept),
        "rollout": rollout_text(serving) if serving else "",
        "rolled back if": describe(serving.roll_back_if) if serving and serving.roll_back_if else "",
        "sticky by": (serving.sticky_by or "") if serving else "",
        "broken rows": (serving.broken_rows or "refuse") if serving else "",
        "retrained when": describe(retraining.when) if retraining else "",
        "how often": how_often(retraining) if retraining else "",
    }
