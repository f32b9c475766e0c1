"""Being told to stop, at any moment."""

import asyncio

import pytest

from slipway.rollout import controller
from slipway.rollout.controller import Controller

KEY = ("dev", "payload")


@pytest.mark.parametrize("steps", range(6))
def test_a_loop_ends_though_it_is_woken_in_the_same_moment(monkeypatch, steps):
    async def go():
        monkeypatch.setattr(controller, "ClusterPorts", lambda *_: None)
        made = Controller(None, None)

        async def nothing(_ports):
            return 60.0

        monkeypatch.setattr(made, "_turn", nothing)
        made._noticed(*KEY, gone=False)
        task, wake = made._loops[KEY], made._wake[KEY]
        for _ in range(10):
            await asyncio.sleep(0)
        wake.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        ended = task in done
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert ended

    asyncio.run(go())
