"""The version of the API by `Accept` instead of by path: `/api/courses` with `application/vnd.slipway.v2+json`.

A version says only what it changes: of a resource that it leaves alone, the newest version before it answers.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.datastructures import Headers, MIMEAccept
from werkzeug.http import parse_accept_header

from app.api.http import JSON

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PREFIX = "/api/"
_MEDIA = re.compile(r"application/vnd\.slipway\.v([1-9][0-9]{0,3})\+json")


class VersionByAccept:
    """Sends a path below `/api/` to the version that its `Accept` names; to the first if it names none.

    Args:
        app: the WSGI application behind it.
        resources: first word of a path below a version -> the versions that it has, besides the first.
        newest: the newest version; a newer one that is asked for is 406, as any form that we do not have.
    """

    def __init__(self, app: "WSGIApplication", resources: Mapping[str, Iterable[int]], newest: int) -> None:
        self._app = app
        self._resources = resources
        self._newest = newest

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        path: str = environ["PATH_INFO"]
        if path.startswith(_PREFIX):
            rest = path.removeprefix(_PREFIX)
            asked, media = self._asked(environ.get("HTTP_ACCEPT", ""))
            has = self._resources.get(rest.partition("/")[0], ())
            environ["PATH_INFO"] = f"/v{max(version for version in (1, *has) if version <= asked)}/{rest}"
            if media:
                environ["HTTP_ACCEPT"] = JSON
            return self._app(environ, _telling(media, start_response))
        return self._app(environ, start_response)

    def _asked(self, accept: str) -> tuple[int, str]:
        """The version that a client likes best of those there are, and the media type that named it."""
        for value, quality in parse_accept_header(accept, MIMEAccept):
            found = _MEDIA.fullmatch(value.lower())
            if found and quality > 0 and int(found[1]) <= self._newest:
                return int(found[1]), value.lower()
        return 1, ""


def install(app: Flask, resources: Mapping[str, Iterable[int]]) -> None:
    """Let clients of `app` choose the version by Accept."""
    newest = max(version for versions in resources.values() for version in versions)
    app.wsgi_app = VersionByAccept(app.wsgi_app, resources, newest)


def _telling(media: str, start_response: "StartResponse") -> "StartResponse":
    """Return what starts an answer that depends on `Accept`, and says so.

    Args:
        media: the media type that named the version, empty for none.
        start_response: of the server.
    """

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        told = Headers(headers)
        told["Vary"] = ", ".join([*told.getlist("Vary"), "Accept"])
        if media and told.get("Content-Type") == JSON:
            told["Content-Type"] = media
        return start_response(status, told.to_wsgi_list(), *error)

    return start
