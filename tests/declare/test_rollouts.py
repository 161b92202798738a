"""Rollouts: stages in their order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fairlead as fl
from fairlead.declare import BadRollout, Rollout, Stage

HOUR = 3600.0


def test_stages() -> None:
    rollout = fl.shadow("1d") >> fl.canary(5, 25, each="12h") >> fl.full
    assert rollout.stages == (
        Stage(kind="shadow", percent=0.0, hold_s=24 * HOUR),
        Stage(kind="canary", percent=5.0, hold_s=12 * HOUR),
        Stage(kind="canary", percent=25.0, hold_s=12 * HOUR),
        Stage(kind="full", percent=100.0),
    )
    assert repr(rollout) == 'fl.shadow("1d") >> fl.canary(5, 25, each="12h") >> fl.full'
    assert fl.shadow("1d").then(fl.canary(5, 25, each="12h"), fl.full) == rollout
    assert hash(rollout) == hash(eval(repr(rollout), {"fl": fl}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.full >> fl.shadow("1d"),
        lambda: fl.full >> fl.full,
        lambda: fl.shadow("1d") >> fl.shadow("2d"),
        lambda: fl.canary(5, each="1h") >> fl.shadow("1d"),
        lambda: fl.canary(25, 5, each="1h"),
        lambda: fl.canary(5, each="1h") >> fl.canary(5, each="2h"),
        lambda: fl.shadow("1d") >> 5,
    ],
)
def test_the_order_is_kept(make: object) -> None:
    with pytest.raises(BadRollout):
        make()  # type: ignore[operator]


percents = st.lists(st.floats(0.5, 99.5).map(lambda x: round(x, 2)), min_size=1, max_size=6, unique=True).map(sorted)


@settings(deadline=None)
@given(percents, st.integers(1, 100), st.booleans())
def test_the_text_of_a_rollout_gives_it_back(shares: list[float], hours: int, shadowed: bool) -> None:
    rollout: Rollout = fl.canary(*shares, each=f"{hours}h") >> fl.full
    if shadowed:
        rollout = fl.shadow("90m") >> rollout
    assert eval(repr(rollout), {"fl": fl}) == rollout
    assert [stage.percent for stage in rollout.stages] == sorted(stage.percent for stage in rollout.stages)
