"""Every verb, in the order in which help shows them: what it does, and the module that knows how."""

from typing import NamedTuple


class Verb(NamedTuple):
    module: str
    group: str
    help: str


VERBS: dict[str, Verb] = {
    "init": Verb("init", "Start", "Write a first project file to begin with."),
    "up": Verb("up", "Start", "Serve the pages, the API and every endpoint from one process."),
    "status": Verb("status", "Start", "How things stand, and what to do next."),
    "doctor": Verb("doctor", "Start", "Check settings, database, blobs and ledger."),
    "plan": Verb("plan", "Build", "Say what would change; nothing happens yet."),
    "apply": Verb("apply", "Build", "Make it so: validate, build features, train, evaluate, register."),
    "run": Verb("run", "Build", "Do one step now: a source, a view or a model."),
    "replay": Verb("replay", "Build", "Replay a past period in minutes, with a virtual clock."),
    "data": Verb("data", "Build", "Look into snapshots: rows, profiles, rows set aside."),
    "serve": Verb("serve", "Ship", "Put a version behind an endpoint and serve it."),
    "predict": Verb("predict", "Ship", "Ask an endpoint for a decision."),
    "rollback": Verb("rollback", "Ship", "Bring the version before back, in one move."),
    "approve": Verb("approve", "Govern", "Approve a version, which releases it."),
    "reject": Verb("approve", "Govern", "Reject a version."),
    "why": Verb("why", "Govern", "Explain one decision: row, features, model, data, code, who approved it."),
    "verify": Verb("verify", "Govern", "Prove that nothing in the ledger was altered."),
    "ledger": Verb("ledger", "Govern", "Go on after a restored database, or with another key."),
    "export": Verb("export", "Govern", "Write the evidence of a version, or its model card, for others."),
    "diff": Verb("diff", "Govern", "Say how two versions differ, from data to approvals."),
    "level": Verb("level", "Govern", "Say how mature a model's operation is, by facts alone."),
    "token": Verb("token", "Govern", "Issue, list and revoke API tokens."),
    "backup": Verb("backup", "Keep", "Take a backup of everything that was recorded, while servers run."),
    "restore": Verb("restore", "Keep", "Bring a backup back into an empty home, or rehearse that."),
    "move": Verb("move", "Keep", "Move to another database and other blobs: PostgreSQL, S3, or back."),
    "gc": Verb("gc", "Keep", "Remove what is older than it is kept, and needed by nothing."),
    "hold": Verb("hold", "Keep", "Keep what a case needs from being removed: legal holds."),
    "get": Verb("get", "Look", "List or show anything: sources, runs, models, decisions, ..."),
    "logs": Verb("logs", "Look", "Read the log of a pipeline run or of the server."),
    "completion": Verb("completion", "Look", "Print the completion script for bash, zsh or fish."),
}
