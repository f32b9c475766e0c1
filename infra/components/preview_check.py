"""The check of a preview host by k6, as a field of a Rollout: what helm/service/templates/_preview.tpl makes. Pure."""

from collections.abc import Mapping
from typing import Any, Final

#: Seconds beside those of the load: the start of a pod, and answers that take their time.
_BESIDES: Final = 60


def preview_spec(name: str, preview: Mapping[str, Any]) -> dict[str, Any]:
    """The field `preview` of the Rollout, or nothing without an image.

    Args:
        name: Of the service.
        preview: All values `preview` of the chart.
    """
    check = preview["check"]
    if not (preview["enabled"] and check["image"]):
        return {}
    told = {
        "ERROR_RATIO": check["errorRatio"],
        "HOST": preview["host"],
        "P95_MS": check["p95Milliseconds"],
        "PATHS": ",".join(check["paths"]),
        "RATE": check["rate"],
        "SECONDS": check["seconds"],
        "TARGET": check["target"],
    }
    return {
        "preview": {
            "image": check["image"],
            "configMap": f"{name}-preview",
            "timeout": f"{check['seconds'] + _BESIDES}s",
            "args": [
                "run",
                "--quiet",
                "--no-usage-report",
                *(f"--env=PREVIEW_{key}={value}" for key, value in told.items()),
                "/scripts/preview.js",
            ],
        }
    }
