"""Builds what the platform is made of from what package registries carry: Go programs, and images from Debian.

`Toolchain` finds or builds programs, `images.Images` images, both in one content-addressed cache (`cache`); `transfer`
carries the cache to a machine without registries; `debian` installs packages of the host. docs/reference/toolchain.md
describes all of it.
"""

from slipway.toolchain.background import Background
from slipway.toolchain.builder import BuildError, Toolchain, UnknownNameError
from slipway.toolchain.cache import default_cache_root
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.events import Event, EventKind, Listener

__all__ = [
    "Background",
    "BuildError",
    "Event",
    "EventKind",
    "Listener",
    "Toolchain",
    "ToolchainError",
    "UnknownNameError",
    "default_cache_root",
]
