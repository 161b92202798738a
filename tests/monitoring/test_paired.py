"""Champion and challenger on the same rows: only rows of both, each once, and evidence that may be looked at daily."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.loop.test_power import compared
from tests.monitoring.served import ACTOR, HOUR, START, Served, move
from tests.registry.cases import registered

from trimtab.monitoring import Outcome, paired, record_outcomes, watch
from trimtab.store import Store

BLOCK = 6 * HOUR
END = START + 21 * BLOCK
"""When the last of twenty blocks, in each of which outcomes of twenty rows became known, is over."""


def lived(store: Store, *, noise: float, n: int = 400, task: str = "classification") -> Any:
    """Rows answered by 1 or (canary) 2 and mirrored to the other; 2 predicts the truth with noise on the logit."""
    served, random = Served(store, task=task), np.random.default_rng(5)
    logit = random.normal(-1, 1, n)
    other = logit + random.normal(0, noise, n) if noise else logit
    p, q = (1 / (1 + np.exp(-x)) for x in (logit, other))
    y = (random.random(n) < p).astype(float)
    ids, moments = [], [START + i * 20 // n * BLOCK for i in range(n)]
    for i in range(n):
        first, second = (1, 2) if i % 4 else (2, 1)
        scores = {1: float(p[i]), 2: float(q[i])}
        stage: Any = "full" if first == 1 else "canary"
        ids += served.decide([scores[first]], at=moments[i], version=first, stage=stage)
        served.decide([scores[second]], at=moments[i], version=second, stage="shadow", mirrors=ids[-1:])
    served.decide([0.99], at=START, version=1)  # nobody mirrored it
    move(store, END)
    watch(store, "late", until=END)
    outcomes = [Outcome(decision=id_, value=y[i], known_at=moments[i] + HOUR) for i, id_ in enumerate(ids) if i % 10]
    record_outcomes(store, "late", outcomes, actor=ACTOR)
    seen = np.arange(n) % 10 > 0
    return y[seen], p[seen], q[seen]


def test_both_losses_are_over_the_same_rows(store: Store) -> None:
    y, p, q = lived(store, noise=1.5)
    found = paired(store, "late", challenger=2, champion=1, since=START, until=END)
    assert (found.metric, found.rows, found.n) == ("log_loss", 400, 360)
    assert found.champion_loss == pytest.approx(sk.log_loss(y, p), rel=1e-12)
    assert found.challenger_loss == pytest.approx(sk.log_loss(y, q), rel=1e-12)
    assert found.difference.value == pytest.approx(found.challenger_loss - found.champion_loss)
    assert found.difference.low < found.difference.value < found.difference.high  # type: ignore[operator]
    turned = paired(store, "late", challenger=1, champion=2, since=START, until=END)
    assert (turned.champion_loss, turned.challenger_loss) == (found.challenger_loss, found.champion_loss)
    assert turned.e_value == pytest.approx(found.better_e_value)


def test_a_worse_challenger_shows_and_an_equal_one_does_not(store: Store) -> None:
    lived(store, noise=3.0, n=1200)
    worse = paired(store, "late", challenger=2, champion=1, since=START, until=END)
    assert worse.e_value > 20
    assert worse.better_e_value < 1
    assert (worse.blocks, worse.past_blocks) == (20, 0)
    early = paired(store, "late", challenger=2, champion=1, since=START, until=START + 2 * BLOCK)
    assert early.n == 108
    assert early.e_value < worse.e_value, "a stormy day is not enough"


def test_an_equal_challenger(store: Store) -> None:
    lived(store, noise=0.0)
    same = paired(store, "late", challenger=2, champion=1, since=START, until=END)
    assert same.difference.value == 0.0
    assert max(same.e_value, same.better_e_value) <= 1.0


def test_regression_compares_squared_errors(store: Store) -> None:
    y, p, q = lived(store, noise=1.0, task="regression")
    found = paired(store, "late", challenger=2, champion=1, since=START, until=END)
    assert found.metric == "squared_error"
    assert found.champion_loss == pytest.approx(sk.mean_squared_error(y, p), rel=1e-12)
    assert found.challenger_loss == pytest.approx(sk.mean_squared_error(y, q), rel=1e-12)


def test_nothing_to_compare(store: Store) -> None:
    span: Any = {"since": START, "until": START + HOUR}
    nobody = paired(store, "late", challenger=2, champion=1, **span)
    assert (nobody.metric, nobody.rows, nobody.n, nobody.e_value) == (None, 0, 0, 1.0)
    served = Served(store)
    ids = served.decide([0.3], at=START)
    served.decide([0.4], at=START, version=2, stage="shadow", mirrors=ids)
    watch(store, "late", until=START)
    waiting = paired(store, "late", challenger=2, champion=1, **span)
    assert (waiting.rows, waiting.n, waiting.difference.why) == (1, 0, "no outcome is known yet")
    move(store, START + HOUR)
    later = paired(store, "late", challenger=2, champion=1, since=START + HOUR, until=START + 2 * HOUR)
    assert later.rows == 0


def test_what_the_test_span_showed_makes_it_sooner_sure(store: Store) -> None:
    lived(store, noise=2.0, n=1200)
    span: Any = {"challenger": 2, "champion": 1, "since": START, "until": START + 8 * BLOCK}
    alone = paired(store, "late", **span)
    for model in (b"champion", b"challenger"):
        registered(store, model=model, evaluation_id=compared(store, model=model))
    found = paired(store, "late", **span)
    assert (alone.past_blocks, found.past_blocks) == (0, 56)
    assert found.e_value > 2 * alone.e_value
    assert found.difference.value == alone.difference.value
