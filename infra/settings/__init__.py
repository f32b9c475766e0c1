"""What a stack can choose: a frozen model for each project.

Components get values from it and never look at configuration themselves, so they can be tested without an engine. A
wrong value, and a key that nothing reads, stop the program before it makes the first resource, with the key, the value
and what is allowed. docs/reference/settings.md is generated from the models.
"""

from infra.settings.cluster import ClusterSettings, EmbeddedSettings, ExistingSettings, KindSettings, Target
from infra.settings.platform import PlatformSettings
from infra.settings.reading import (
    MODELS,
    SettingsError,
    any_service_settings,
    cluster_settings,
    parse,
    platform_settings,
    service_settings,
)
from infra.settings.service import AnyServiceSettings, FlagRule, LogLevel, ServiceSettings, Strategy

__all__ = [
    "MODELS",
    "AnyServiceSettings",
    "ClusterSettings",
    "EmbeddedSettings",
    "ExistingSettings",
    "FlagRule",
    "KindSettings",
    "LogLevel",
    "PlatformSettings",
    "ServiceSettings",
    "SettingsError",
    "Strategy",
    "Target",
    "any_service_settings",
    "cluster_settings",
    "parse",
    "platform_settings",
    "service_settings",
]
