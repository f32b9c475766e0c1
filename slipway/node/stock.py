"""`Supplies` out of the toolchain: programs and images are found in its cache, or built."""

from functools import cached_property
from pathlib import Path
from typing import final

from slipway.toolchain import Toolchain
from slipway.toolchain.images import Images

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout, which the service's image is made from."""


@final
class Stock:
    """The toolchain's programs and images under the names that a cluster asks for."""

    @cached_property
    def _toolchain(self) -> Toolchain:
        return Toolchain()

    @cached_property
    def _images(self) -> Images:
        return Images(self._toolchain, repository=REPOSITORY)

    def binary(self, name: str) -> Path:
        """The file of a program (see `Supplies`)."""
        return self._toolchain.ensure([name])[name]

    def image_digest(self, name: str) -> str:
        """The digest of an image (see `Supplies`)."""
        return self._images.build(name).digest

    def push(self, name: str, registry: str, certificates: Path) -> str:
        """Push an image (see `Supplies`)."""
        return self._images.push(name, registry, certificates)
