"""Container images from recipes: Debian packages, programs of the toolchain, files of upstream modules."""

from slipway.toolchain.images.recipe import OciImage, Recipe
from slipway.toolchain.images.recipes import CONTROLLER, RECIPES, ROOT_REASONS, SERVICE
from slipway.toolchain.images.store import ImageError, Images

__all__ = ["CONTROLLER", "RECIPES", "ROOT_REASONS", "SERVICE", "ImageError", "Images", "OciImage", "Recipe"]
