"""Renders docs/reference/settings.md from the models: `python -m infra.settings.reference` writes it."""

import json
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infra.naming import Project
from infra.settings import MODELS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"

_HEAD: Final = """\
# Settings

Every setting of the three Pulumi projects. This page is generated from the models in `infra/settings` by
`python -m infra.settings.reference`; a test fails if it is not up to date.

A setting belongs to a stack: `pulumi config set KEY VALUE` in the project's folder, or `--path KEY.INNER VALUE` for a
value inside an object. A wrong value, and a key that is not on this page, stop the program before anything is made.
"""


def render() -> str:
    """The page, as Markdown."""
    sections = [_HEAD]
    for project, model in MODELS.items():
        rows = [
            "| key | allowed | default | what it does |",
            "|---|---|---|---|",
            *(_row(project, path, field) for path, field in _fields(model, ())),
        ]
        title = f"## `{project.value}`\n\n{(model.__doc__ or '').strip().splitlines()[0]}\n"
        sections.append(title + "\n" + "\n".join(rows) + "\n")
    return "\n".join(sections)


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every field with its path, objects before what is in them."""
    for name, field in model.model_fields.items():
        inner = (*path, field.alias or name)
        yield inner, field
        if nested := _model_of(field):
            yield from _fields(nested, inner)


def _row(project: Project, path: tuple[str, ...], field: FieldInfo) -> str:
    cells = (f"`{project.value}:{'.'.join(path)}`", _allowed(field), _default(field), field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _allowed(field: FieldInfo) -> str:
    if _model_of(field) or any(typing.get_origin(kind) is dict for kind in _kinds(field)):
        return "an object"
    for kind in _kinds(field):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return ", ".join(f"`{member.value}`" for member in kind)
    if bool in _kinds(field):
        return "`true`, `false`"
    if typing.get_origin(field.annotation) is tuple:
        return "a list of text"
    low = next((it.ge for it in field.metadata if isinstance(it, Ge)), None)
    high = next((it.le for it in field.metadata if isinstance(it, Le)), None)
    if {int, float} & set(_kinds(field)):
        return f"{low} to {high}"
    return "text"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or isinstance(field.default, BaseModel):
        return "none" if field.default is None else "as below"
    value: Any = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types that a field can have; `X | None` has two."""
    return typing.get_args(field.annotation) or (field.annotation,)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    return next((it for it in _kinds(field) if isinstance(it, type) and issubclass(it, BaseModel)), None)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
