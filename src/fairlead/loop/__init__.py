"""The loop: what a file declares becomes a plan, a durable run, a candidate, and after a yes an answering version.

In: a loaded project, and people's decisions. Out: plans in words, versions with their verdicts, and routings.
"""

from fairlead.loop.api import routes
from fairlead.loop.apply import RunFailed, apply_project, as_of, pipeline_of, run_one
from fairlead.loop.cancel import NotToBeCancelled, cancel_turn
from fairlead.loop.conditions import NeverAnswered
from fairlead.loop.declarations import applied, projects
from fairlead.loop.events import DeclarationApplied
from fairlead.loop.fitting import NotAModel, TrainingFailed
from fairlead.loop.frames import model_input
from fairlead.loop.frontier import picture_of as frontier_picture
from fairlead.loop.frontier import policies as frontier_policies
from fairlead.loop.frontier import table_of as frontier_table
from fairlead.loop.frontier import with_policy
from fairlead.loop.home import ReplayHome, ReplayRunning, replayed_model
from fairlead.loop.plan import make_plan
from fairlead.loop.records import (
    Declaration,
    Move,
    Outcome,
    Plan,
    PlanItem,
    Trigger,
    TriggerKind,
    Turn,
    TurnState,
)
from fairlead.loop.replay import Replay, Told
from fairlead.loop.report import ReplayReport, report_of, turn_line
from fairlead.loop.report import lines_of as report_lines
from fairlead.loop.rollback import NothingBefore, roll_back
from fairlead.loop.rollout import Approved, RolloutNotStarted, StageName, approve_version, serve_version, stages_of
from fairlead.loop.steps import FileChanged
from fairlead.loop.tables import declarations
from fairlead.loop.tick import Loop
from fairlead.loop.turns import TurnMissing, get_turn, list_turns, move_turn, open_turn, open_turn_of

__all__ = [
    "Approved", "Declaration", "DeclarationApplied", "FileChanged", "Loop", "Move", "NeverAnswered", "NotAModel",
    "NotToBeCancelled", "NothingBefore", "Outcome", "Plan", "PlanItem", "Replay", "ReplayHome", "ReplayReport",
    "ReplayRunning", "RolloutNotStarted", "RunFailed", "StageName", "Told", "TrainingFailed", "Trigger", "TriggerKind",
    "Turn", "TurnMissing", "TurnState", "applied", "apply_project", "approve_version", "as_of", "cancel_turn",
    "declarations", "frontier_picture", "frontier_policies", "frontier_table", "get_turn", "list_turns", "make_plan",
    "model_input", "move_turn", "open_turn", "open_turn_of", "pipeline_of", "projects", "replayed_model",
    "report_lines", "report_of", "roll_back", "routes", "run_one", "serve_version", "stages_of", "turn_line",
    "with_policy",
]  # fmt: skip
