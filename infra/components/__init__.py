"""The parts of the platform, one noun a file.

Each is a `X(ComponentResource)` with a frozen `XConfig` that is checked by pure functions before the first resource,
and a frozen `XResources` that says what was made. Components never read configuration and never know the target.
"""
