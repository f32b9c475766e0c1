"""Work side by side, and work in the background."""

import threading

import pytest

from slipway.toolchain.background import Background, side_by_side


def nothing() -> None:
    """Stops nothing."""


def test_one_worker_keeps_the_order():
    done: list[int] = []
    side_by_side([lambda number=number: done.append(number) for number in range(5)], 1, nothing)
    assert done == [0, 1, 2, 3, 4]


def test_two_workers_run_two_at_once():
    barrier = threading.Barrier(2, timeout=20)
    side_by_side([barrier.wait, barrier.wait], 2, nothing)


def test_nothing_to_do_is_fine():
    side_by_side([], 4, nothing)


@pytest.mark.parametrize("kind", [ValueError, IndexError])
def test_after_a_failure_nothing_is_begun(kind):
    begun: list[int] = []

    def fails() -> None:
        raise kind("it")

    with pytest.raises(kind, match="it"):
        side_by_side([fails, lambda: begun.append(1)], 1, nothing)
    assert begun == []


def test_background_work_gives_its_failure_to_who_waits():
    def fails() -> None:
        raise ValueError("it")

    with pytest.raises(ValueError, match="it"):
        Background(fails, nothing).wait(20)


def test_background_work_can_be_looked_at_and_called_off():
    stop = threading.Event()
    background = Background(stop.wait, stop.set)
    assert background.running
    assert not background.wait(0.01)
    background.cancel()
    assert not background.running
    assert background.wait()
