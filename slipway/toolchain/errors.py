"""The root of what this package raises for people to read."""


class ToolchainError(RuntimeError):
    """Something could not be built, found or installed; the text says what, why, and what to do next."""
