"""Rollouts: stages in their order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.declare import BadRollout, Rollout, Stage

HOUR = 3600.0


def test_stages() -> None:
    rollout = tt.shadow("1d") >> tt.canary(5, 25, each="12h") >> tt.full
    assert rollout.stages == (
        Stage(kind="shadow", percent=0.0, hold_s=24 * HOUR),
        Stage(kind="canary", percent=5.0, hold_s=12 * HOUR),
        Stage(kind="canary", percent=25.0, hold_s=12 * HOUR),
        Stage(kind="full", percent=100.0),
    )
    assert repr(rollout) == 'tt.shadow("1d") >> tt.canary(5, 25, each="12h") >> tt.full'
    assert tt.shadow("1d").then(tt.canary(5, 25, each="12h"), tt.full) == rollout
    assert hash(rollout) == hash(eval(repr(rollout), {"tt": tt}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tt.full >> tt.shadow("1d"),
        lambda: tt.full >> tt.full,
        lambda: tt.shadow("1d") >> tt.shadow("2d"),
        lambda: tt.canary(5, each="1h") >> tt.shadow("1d"),
        lambda: tt.canary(25, 5, each="1h"),
        lambda: tt.canary(5, each="1h") >> tt.canary(5, each="2h"),
        lambda: tt.shadow("1d") >> 5,
    ],
)
def test_the_order_is_kept(make: object) -> None:
    with pytest.raises(BadRollout):
        make()  # type: ignore[operator]


percents = st.lists(st.floats(0.5, 99.5).map(lambda x: round(x, 2)), min_size=1, max_size=6, unique=True).map(sorted)


@settings(deadline=None)
@given(percents, st.integers(1, 100), st.booleans())
def test_the_text_of_a_rollout_gives_it_back(shares: list[float], hours: int, shadowed: bool) -> None:
    rollout: Rollout = tt.canary(*shares, each=f"{hours}h") >> tt.full
    if shadowed:
        rollout = tt.shadow("90m") >> rollout
    assert eval(repr(rollout), {"tt": tt}) == rollout
    assert [stage.percent for stage in rollout.stages] == sorted(stage.percent for stage in rollout.stages)
