"""Whether this process is on its way out: readiness says so at once, while requests are still answered."""

from threading import Event


class Drain:
    """A switch that is thrown once, from a signal handler, and read by every request."""

    def __init__(self) -> None:
        self._begun = Event()

    def begin(self) -> None:
        """Say that no new traffic should be sent here."""
        self._begun.set()

    @property
    def begun(self) -> bool:
        """True from the first `begin` on."""
        return self._begun.is_set()
