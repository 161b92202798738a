"""Two controllers on one turn: one of them makes its move, and the other leaves nothing behind."""

from pathlib import Path

import pytest

from trimtab.declare import Project
from trimtab.kernel import Actor
from trimtab.loop import Trigger, TriggerKind, get_turn, open_turn
from trimtab.loop.controller import advance
from trimtab.loop.declarations import InForce, record_declarations
from trimtab.loop.turns import TurnTaken
from trimtab.pipelines import list_pipeline_runs
from trimtab.store import Store, events


def test_one_training_is_submitted(
    store: Store, project: Project, project_file: Path, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.change(actor) as change:
        record_declarations(change, project.spec, file=project_file)
        turn = open_turn(change, "slow", Trigger(kind=TriggerKind.HAND, text="learn"))
    in_force = InForce(project_file, project.spec)
    (model,) = project.spec.models
    # Both have looked for an open run before either has submitted one.
    monkeypatch.setattr("trimtab.loop.controller.resume", lambda *_given, **_words: None)
    moved = advance(store, in_force, model, turn, actor=actor)
    with pytest.raises(TurnTaken):
        advance(store, in_force, model, turn, actor=actor)
    (run,) = list_pipeline_runs(store)
    assert get_turn(store, turn.id) == moved
    assert moved.run == run.id
    assert len(events(store, type="pipelines.run-submitted")) == 1
