"""What a stack has set, read from Pulumi's configuration: the only module that does."""

import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.naming import Project
from infra.settings.cluster import ClusterSettings
from infra.settings.platform import PlatformSettings
from infra.settings.service import AnyServiceSettings, ServiceSettings

Model = TypeVar("Model", bound=BaseModel)


class SettingsError(pulumi.RunError):
    """A stack's configuration cannot be used. The message names every wrong key; the engine shows it as it stands."""


MODELS: Final[Mapping[Project, type[BaseModel]]] = types.MappingProxyType(
    {
        Project.CLUSTER: ClusterSettings,
        Project.PLATFORM: PlatformSettings,
        Project.SERVICE: ServiceSettings,
    }
)


def cluster_settings() -> ClusterSettings:
    """Read the cluster project's configuration. Raises `SettingsError`."""
    return parse(ClusterSettings, Project.CLUSTER, _configured(Project.CLUSTER))


def platform_settings() -> PlatformSettings:
    """Read the platform project's configuration. Raises `SettingsError`."""
    return parse(PlatformSettings, Project.PLATFORM, _configured(Project.PLATFORM))


def service_settings() -> ServiceSettings:
    """Read the service project's configuration. Raises `SettingsError`."""
    return parse(ServiceSettings, Project.SERVICE, _configured(Project.SERVICE))


def any_service_settings(project: str) -> AnyServiceSettings:
    """Read the configuration of a project that is not ours, by its name. Raises `SettingsError`."""
    return parse(AnyServiceSettings, project, _configured(project))


def parse(model: type[Model], project: str, raw: Mapping[str, str]) -> Model:
    """Make settings of what Pulumi hands over: text, JSON where a value has a structure.

    Args:
        model: The project's model.
        project: Namespace of the keys, for messages.
        raw: Key without namespace -> text.

    Raises:
        SettingsError: At least one value or key is wrong; the message has a line for each.
    """
    fields = {_key(name, field): field for name, field in model.model_fields.items()}
    try:
        values = {key: _structured(text, fields.get(key)) for key, text in raw.items()}
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_line(project, detail, sorted(fields)) for detail in error.errors()]
    except json.JSONDecodeError as error:
        lines = [f"{project}: {error.doc!r} is not valid JSON ({error.msg}); the key holds an object"]
    raise SettingsError(
        "the settings of this stack cannot be used:\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\nChange them with `pulumi config set` (docs/reference/settings.md lists all); nothing was changed so far."
    )


def _configured(project: str) -> dict[str, str]:
    """Every key that is set in the project's namespace; `Config.get` alone could not find misspelt ones."""
    prefix = f"{project}:"
    config = pulumi.Config(project)
    keys = [key.removeprefix(prefix) for key in CONFIG.get() if key.startswith(prefix)]
    return {key: value for key in keys if (value := config.get(key)) is not None}


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _structured(text: str, field: FieldInfo | None) -> Any:
    """Text as it is; parsed where the field holds an object."""
    parts = typing.get_args(field.annotation) or (field.annotation,) if field else ()
    if any(isinstance(part, type) and issubclass(part, BaseModel) for part in parts) or _is_mapping(field):
        return json.loads(text)
    return text


def _is_mapping(field: FieldInfo | None) -> bool:
    if field is None:
        return False
    return any(typing.get_origin(it) is dict for it in (field.annotation, *typing.get_args(field.annotation)))


def _line(project: str, detail: ErrorDetails, known: list[str]) -> str:
    """One wrong value in words."""
    path = ".".join(str(part) for part in detail["loc"])
    key = f"{project}:{path}" if path else project
    if detail["type"] == "extra_forbidden":
        allowed = f"; allowed are {', '.join(known)}" if len(detail["loc"]) == 1 else ""
        return f"{key} is not a setting{allowed}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if isinstance(detail["input"], str | int | bool):
        return f"{key} is {detail['input']!r}: {message}"
    return f"{key}: {message}"
