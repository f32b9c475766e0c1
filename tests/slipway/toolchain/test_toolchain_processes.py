"""Running programs."""

import threading

import pytest

from slipway.toolchain.processes import TAIL, Children, Command, CommandFailedError, run


def sh(script: str, **more) -> Command:
    return Command(("sh", "-c", script), **more)


def test_output_is_given_line_by_line_and_whole():
    lines = []
    assert run(sh("echo one; echo two >&2"), lines.append) == "one\ntwo"
    assert lines == ["one", "two"]


def test_a_failure_keeps_the_command_and_the_last_lines():
    with pytest.raises(CommandFailedError) as raised:
        run(sh("for n in $(seq 100); do echo line $n; done; exit 3"))
    error = raised.value
    assert (error.status, error.command[:2], len(error.tail), error.tail[-1]) == (3, ("sh", "-c"), TAIL, "line 100")
    assert "ended with status 3" in str(error)


def test_a_silent_failure_says_so():
    with pytest.raises(CommandFailedError, match="no output"):
        run(sh("exit 1"))


def test_a_program_that_does_not_exist_fails_like_one():
    with pytest.raises(CommandFailedError, match="status 127"):
        run(Command(("slipway-no-such-program",)))


def test_folder_environment_and_log(tmp_path):
    log = tmp_path / "it.log"
    run(sh("pwd; echo $NAME", folder=tmp_path, environment={"NAME": "value", "PATH": "/usr/bin:/bin"}, log=log))
    assert log.read_text() == f"{tmp_path}\nvalue\n"


def test_bytes_that_are_no_text_do_not_stop_it():
    assert run(sh(r"printf '\377\n'")) == "\ufffd"


def test_a_listener_that_fails_ends_the_program():
    def fails(_line):
        raise ValueError("listener")

    children = Children()
    with pytest.raises(ValueError, match="listener"):
        run(sh("echo line; exec sleep 60"), fails, children)
    assert children._running == set()


def test_another_thread_can_end_it_and_what_comes_after():
    children = Children()
    begun = threading.Event()
    failures = []

    def work():
        try:
            run(sh("echo line; exec sleep 60"), lambda _line: begun.set(), children)
        except CommandFailedError as error:
            failures.append(error.status)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    children.stop()
    thread.join(20)
    assert failures == [-15]
    with pytest.raises(CommandFailedError):
        run(sh("exec sleep 60"), children=children)


def test_a_program_that_ignores_being_asked_is_killed(monkeypatch):
    monkeypatch.setattr("slipway.toolchain.processes._GRACE_SECONDS", 0.05)

    def fails(_line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sh("trap '' TERM; echo line; while :; do sleep 1; done"), fails)
