"""Renders a recipe as a Containerfile. Pure; the text is part of the image's key."""

import json
from collections.abc import Sequence

from slipway.toolchain.images.recipe import SCRATCH, DebianBase, Recipe, Step

#: A folder of the build that is mounted, so that nothing of it stays in the image: apt's settings, lists and archives.
MOUNT = "/mnt"

#: What package managers leave behind that differs from run to run.
_TRACES = (
    "/var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log /var/log/fontconfig.log"
    " /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/lib/apt/lists/* /tmp/*"
)

#: The day on which each password was last changed, and the files before the last change: they differ from day to day.
_DAYS = (
    r"sed -i -E 's/^([^:]*:[^:]*):[0-9]*:/\1::/' /etc/shadow"
    " && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-"
)

_APT = f"export APT_CONFIG={MOUNT}/apt.conf DEBIAN_FRONTEND=noninteractive LC_ALL=C"
_LIST = f"dpkg-query --show --showformat='${{Package}} ${{Version}}\\n' > {MOUNT}/packages.txt"


def _run(commands: Sequence[str]) -> str:
    return "RUN " + " && \\\n    ".join(commands)


def _steps(steps: Sequence[Step]) -> list[str]:
    lines: list[str] = []
    for step in steps:
        lines += [f"# {step.why}", _run([step.command])]
    return lines


def _packages(recipe: Recipe) -> list[str]:
    if not recipe.packages:
        return []
    names = " ".join(package.name for package in recipe.packages)
    return [
        *(f"# {package.name}: {package.why}" for package in recipe.packages),
        _run(
            [
                _APT,
                "apt-get update",
                f"apt-get install --yes --no-install-recommends {names}",
                _LIST,
                f"rm -rf {_TRACES}",
            ]
        ),
    ]


def _settings(recipe: Recipe) -> list[str]:
    lines = [f"ENV {name}={json.dumps(value)}" for name, value in sorted(recipe.environment.items())]
    lines += [f"WORKDIR {recipe.workdir}", f"USER {recipe.user}"]
    if recipe.entrypoint:
        lines.append(f"ENTRYPOINT {json.dumps(list(recipe.entrypoint))}")
    # Always said: an image made from another one would inherit its command.
    lines.append(f"CMD {json.dumps(list(recipe.command))}")
    return lines


def render(recipe: Recipe, base: str) -> str:
    """The Containerfile of a recipe.

    Args:
        recipe: The recipe.
        base: Reference of its base in the build's storage, or ``scratch``.

    Returns:
        The text. Its context holds ``early/`` and ``root/``, trees to be laid over the image before and after the
        packages (each only if the recipe has such files).
    """
    lines = [f"FROM {base} AS made"]
    if recipe.early:
        lines.append("COPY early/ /")
    lines += _steps(recipe.before) + _packages(recipe)
    if recipe.sources:
        lines.append("COPY root/ /")
    lines += _steps(recipe.after)
    if recipe.base != SCRATCH:
        lines.append(_run([_DAYS]))
    if recipe.only:
        lines += [f"FROM {SCRATCH}", *(f"COPY --from=made {path} /" for path in recipe.only)]
    return "\n".join([*lines, *_settings(recipe)]) + "\n"


def instructions(text: str) -> str:
    """A Containerfile without its comments: what decides the image, so that a better reason does not make it again."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def render_base(base: DebianBase) -> str:
    """The Containerfile of a Debian base: the root that debootstrap made, with today's updates, as one layer."""
    return "\n".join(
        [
            f"# Debian {base.suite}: {base.why}",
            f"FROM {SCRATCH}",
            "ADD root.tar /",
            _run([_APT, "apt-get update", "apt-get dist-upgrade --yes", _LIST, f"rm -rf {_TRACES}", _DAYS]),
            'CMD ["/bin/sh"]',
            "",
        ]
    )
