"""The loop: what a file declares becomes a plan, a durable run, a candidate, and after a yes an answering version.

In: a loaded project, and people's decisions. Out: plans in words, versions with their verdicts, and routings.
"""

from fairlead.loop.api import routes
from fairlead.loop.apply import RunFailed, apply_project, as_of, run_one
from fairlead.loop.conditions import NeverAnswered
from fairlead.loop.declarations import applied, projects
from fairlead.loop.events import DeclarationApplied
from fairlead.loop.fitting import NotAModel, TrainingFailed
from fairlead.loop.frames import model_input
from fairlead.loop.plan import make_plan
from fairlead.loop.records import Declaration, Outcome, Plan, PlanItem
from fairlead.loop.rollout import Approved, RolloutNotStarted, StageName, approve_version, serve_version
from fairlead.loop.steps import FileChanged
from fairlead.loop.tables import declarations

__all__ = [
    "Approved", "Declaration", "DeclarationApplied", "FileChanged", "NeverAnswered", "NotAModel", "Outcome", "Plan",
    "PlanItem", "RolloutNotStarted", "RunFailed", "StageName", "TrainingFailed",
    "applied", "apply_project", "approve_version", "as_of", "declarations", "make_plan", "model_input", "projects",
    "routes", "run_one", "serve_version",
]  # fmt: skip
