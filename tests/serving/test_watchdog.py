"""The watchdog of the event loop: what holds it up is counted and named."""

import asyncio
import threading

import pytest
from tests.waiting import PATIENCE_S, wait_until_async

from trimtab.serving import watchdog
from trimtab.serving.watchdog import Watchdog


def test_a_loop_that_is_held_up_is_told_with_what_it_is_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "STALL_S", 0.5)
    monkeypatch.setattr(watchdog, "BEAT_S", 0.01)

    async def act() -> int:
        watching = Watchdog()
        watching.start()
        await asyncio.sleep(0.1)

        def hold_up_everything() -> None:
            for _ in range(int(PATIENCE_S / 0.1)):
                threading.Event().wait(0.1)
                if watching.stalls:
                    return

        hold_up_everything()
        assert watching.stalls == 1
        await wait_until_async(lambda: watching._beats > 20, "it moves again")
        watching.stop()
        return watching.stalls

    assert asyncio.run(act()) >= 1
    assert "hold_up_everything" in caplog.text
