"""The loop: what a file declares becomes a plan, a durable run, a candidate, and after a yes an answering version.

In: a loaded project, and people's decisions. Out: plans in words, versions with their verdicts, and routings.
"""

from trimtab.loop.api import ProposalPage, routes
from trimtab.loop.apply import RunFailed, apply_project, as_of, pipeline_of, run_one
from trimtab.loop.cancel import NotToBeCancelled, cancel_turn
from trimtab.loop.conditions import NeverAnswered
from trimtab.loop.consent import OwnPolicy, ProposalOver, approve_policy, reject_policy
from trimtab.loop.declarations import applied, projects
from trimtab.loop.events import DeclarationApplied, PolicyApproved, PolicyProposed, PolicyRejected, PolicyWithdrawn
from trimtab.loop.fitting import NotAModel, TrainingFailed
from trimtab.loop.frames import model_input
from trimtab.loop.frontier import picture_of as frontier_picture
from trimtab.loop.frontier import policies as frontier_policies
from trimtab.loop.frontier import table_of as frontier_table
from trimtab.loop.frontier import with_policy
from trimtab.loop.governed import DeclaredElsewhere
from trimtab.loop.home import ReplayHome, ReplayRunning, replayed_model
from trimtab.loop.own_code import FileChanged
from trimtab.loop.plan import make_plan
from trimtab.loop.power import power_text
from trimtab.loop.proposals import ProposalMissing, get_proposal, list_proposals, open_proposal_of, open_proposals
from trimtab.loop.records import (
    Declaration,
    ModelPolicy,
    Move,
    Outcome,
    Plan,
    PlanItem,
    Proposal,
    ProposalState,
    Trigger,
    TriggerKind,
    Turn,
    TurnState,
)
from trimtab.loop.replay import Replay, Told
from trimtab.loop.report import ReplayReport, report_of, turn_line
from trimtab.loop.report import lines_of as report_lines
from trimtab.loop.retention import held_with, is_governed, is_known, needed_by_turns, used_from
from trimtab.loop.rollback import NothingBefore, roll_back
from trimtab.loop.rollout import (
    Approved,
    RolloutNotStarted,
    StageName,
    approve_version,
    renew_version,
    serve_version,
    stages_of,
)
from trimtab.loop.tables import declarations
from trimtab.loop.tick import Loop
from trimtab.loop.turns import (
    TurnMissing,
    TurnPage,
    each_turn,
    get_turn,
    list_turns,
    move_turn,
    open_turn,
    open_turn_of,
    open_turns,
)
from trimtab.loop.wording import approver_text
from trimtab.loop.wording import differences as policy_differences

__all__ = [
    "Approved", "Declaration", "DeclarationApplied", "DeclaredElsewhere", "FileChanged", "Loop", "ModelPolicy", "Move",
    "NeverAnswered", "NotAModel", "NotToBeCancelled", "NothingBefore", "Outcome", "OwnPolicy", "Plan", "PlanItem",
    "PolicyApproved", "PolicyProposed", "PolicyRejected", "PolicyWithdrawn", "Proposal", "ProposalMissing",
    "ProposalOver", "ProposalPage", "ProposalState", "Replay", "ReplayHome", "ReplayReport", "ReplayRunning",
    "RolloutNotStarted", "RunFailed", "StageName", "Told", "TrainingFailed", "Trigger", "TriggerKind", "Turn",
    "TurnMissing", "TurnPage", "TurnState", "applied", "apply_project", "approve_policy", "approve_version",
    "approver_text", "as_of", "cancel_turn", "declarations", "each_turn", "frontier_picture", "frontier_policies",
    "frontier_table", "get_proposal", "get_turn", "held_with", "is_governed", "is_known", "list_proposals",
    "list_turns", "make_plan", "model_input", "move_turn", "needed_by_turns", "open_proposal_of", "open_proposals",
    "open_turn", "open_turn_of", "open_turns", "pipeline_of", "policy_differences", "power_text", "projects",
    "reject_policy", "renew_version", "replayed_model", "report_lines", "report_of", "roll_back", "routes", "run_one",
    "serve_version", "stages_of", "turn_line", "used_from", "with_policy",
]  # fmt: skip
