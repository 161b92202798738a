"""What workers are given besides their work."""

import pytest

from trimtab.kernel import Settings, SystemClock
from trimtab.pipelines.pool import REPLAYED_THREADS, Pool

NAMES = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment(*, repeatable: bool) -> list[str | None]:
    pool = Pool(size=1, settings=Settings(), idle_s=1.0, machine=SystemClock(), repeatable=repeatable)
    found = pool._environment()
    return [found.get(name) for name in NAMES]


def test_the_environment_has_the_last_word_but_not_in_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "7")
    assert environment(repeatable=False) == ["7"] * 4
    assert environment(repeatable=True) == ["0", *[str(REPLAYED_THREADS)] * 3]


def test_a_replay_does_not_ask_how_many_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    found = set()
    for cores in (1, 2, 64):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.add(tuple(environment(repeatable=True)))
    assert len(found) == 1
