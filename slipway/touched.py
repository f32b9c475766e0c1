"""Which stacks a change of files touches, for `preview --changed`. The decision is pure; `reach` reads the programs.

When in doubt, a stack is touched: a preview too many costs minutes, one too few hides what `up` will do.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import grimp

from infra.naming import Project

#: Packages of this repository that programs of stacks can import.
PACKAGES: Final = ("app", "dashboards", "infra", "loadtests", "slipway")
#: Whatever lies here and is not told apart below touches every stack; what lies elsewhere touches none.
ROOTS: Final = ("Dockerfile", "app", "dashboards", "helm", "infra", "pyproject.toml", "slipway", "uv.lock")
#: So many files are listed of a pull request at most: a list as long may lack the rest.
LISTED: Final = 3000

_ALL: Final = frozenset(Project)
_PROJECTS: Final = "infra/projects"
# What goes into an image that a project builds, and is not imported by its program.
_BUILT: Final[Mapping[str, frozenset[Project]]] = {
    "Dockerfile": frozenset({Project.PLATFORM, Project.SERVICE}),
    "app": frozenset({Project.SERVICE}),
    "helm": frozenset({Project.SERVICE}),
    "slipway/rollout": frozenset({Project.PLATFORM}),
}
# The command line: what no program imports of it runs in none.
_COMMANDS: Final = "slipway/cli/"

Stack = tuple[Project, str]
Reach = Mapping[Project, frozenset[str]]


def stacks(changed: Iterable[str], reach: Reach, there: Iterable[Stack]) -> list[Stack]:
    """Those of the stacks that are there which a change touches, in their order.

    Args:
        changed: Paths in the repository, with `/`; of a file that was moved both.
        reach: Project -> paths of all modules that its program imports, straight or through others.
        there: The stacks of the cluster.
    """
    paths = list(changed)
    owners = [_owners(it, reach) for it in paths if _stack_file(it) is None]
    whole = _ALL if len(paths) >= LISTED else frozenset[Project]().union(*owners)
    single = {_stack_file(it) for it in paths}
    return [(project, stack) for project, stack in there if project in whole or (project, stack) in single]


def reach(root: Path) -> dict[Project, frozenset[str]]:
    """Project -> paths of all modules of ours that its program imports."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {
        project: frozenset(_paths(graph, _imported(root / _PROJECTS / _folder(project) / "__main__.py"), root))
        for project in Project
    }


def _owners(path: str, reach: Reach) -> frozenset[Project]:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] not in ROOTS or path.endswith(".md"):
        return frozenset()
    if path.startswith(f"{_PROJECTS}/"):
        return frozenset(it for it in Project if _folder(it) == parts[2]) or _ALL
    importers = frozenset(project for project, paths in reach.items() if path in paths)
    built = [owners for start, owners in _BUILT.items() if path == start or path.startswith(f"{start}/")]
    if path.startswith("slipway/") and not path.endswith(".py"):
        return _ALL  # read by whoever imports a module beside it
    if importers or built:
        return importers.union(*built)
    return frozenset() if path.startswith(_COMMANDS) else _ALL


def _folder(project: Project) -> str:
    return project.value.removeprefix("slipway-")


def _stack_file(path: str) -> Stack | None:
    it = PurePosixPath(path)
    for project in Project:
        if it.parent == PurePosixPath(_PROJECTS, _folder(project)) and it.match("Pulumi.*.yaml"):
            return project, it.name.removeprefix("Pulumi.").removesuffix(".yaml")
    return None


def _imported(program: Path) -> Iterator[str]:
    # Pulumi runs it by path, so it is in no package and in no graph.
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (it.name for it in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{it.name}" for it in node.names)


def _paths(graph: grimp.ImportGraph, names: Iterable[str], root: Path) -> Iterator[str]:
    waiting = [it for it in names if it in graph.modules]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package = name.rpartition(".")[0]  # its `__init__` runs first
        waiting += [*graph.find_modules_directly_imported_by(name), *([package] if package else [])]
    for name in seen:
        path = name.replace(".", "/")
        yield f"{path}/__init__.py" if (root / path / "__init__.py").exists() else f"{path}.py"
