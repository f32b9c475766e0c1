"""What this package raises."""


class NodeError(Exception):
    """The embedded cluster could not be made, changed or reached; the message says what to do next."""
