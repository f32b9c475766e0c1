"""How many builds at once, and who goes first."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.toolchain.slots import Slots, plan, usable_cores


@given(st.integers(1, 256))
def test_every_core_has_work_and_none_has_much_too_much(cores):
    it = plan(cores)
    assert it.builds >= 1
    assert cores <= it.builds * it.processes <= max(cores, 2 * cores)


@pytest.mark.parametrize(("cores", "builds", "processes"), [(1, 1, 1), (2, 1, 2), (7, 1, 7), (8, 2, 6), (32, 8, 6)])
def test_the_plan(cores, builds, processes):
    assert (plan(cores).builds, plan(cores).processes) == (builds, processes)


def test_this_machine_has_cores():
    assert usable_cores() >= 1


def test_as_many_as_there_are_slots_build_at_once(tmp_path):
    slots = Slots(tmp_path, 2)
    with slots.take(urgent=True), slots.take(urgent=True):
        cancelled = threading.Event()
        with (
            pytest.raises(InterruptedError),
            slots.take(urgent=True, on_wait=lambda _who: cancelled.set(), cancelled=cancelled),
        ):
            raise AssertionError("there are two slots only")


def test_what_somebody_waits_for_goes_first(tmp_path):
    slots = Slots(tmp_path, 1)
    order: list[str] = []
    waiting = threading.Event()

    def urgent():
        with slots.take(urgent=True, on_wait=lambda _who: waiting.set()):
            order.append("urgent")

    def ahead():
        with slots.take(urgent=False):
            order.append("ahead")

    with slots.take(urgent=True):
        threads = [threading.Thread(target=urgent), threading.Thread(target=ahead)]
        threads[0].start()
        assert waiting.wait(20)
        threads[1].start()
    for thread in threads:
        thread.join(20)
    assert order == ["urgent", "ahead"]


def test_what_is_built_ahead_can_be_called_off_while_it_lets_others_pass(tmp_path):
    slots = Slots(tmp_path, 1)
    cancelled = threading.Event()
    cancelled.set()
    with (
        slots.take(urgent=True),
        pytest.raises(InterruptedError),
        slots.take(urgent=False, cancelled=cancelled),
    ):
        raise AssertionError("it was called off")
