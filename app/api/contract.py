"""What a route promises: stands beside its view, and OpenAPI is made from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from app.api.http import JSON, Strict, takes, versioned
from app.core.here import context, current
from app.core.problems import invalid

V = TypeVar("V", bound=Callable[..., Any])

_ATTRIBUTE = "contract"
_TEXT = {"type": "string"}

#: Header of an answer -> what it says, and its schema.
ANSWER_HEADERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ETag": ("The version of what is answered; goes into If-Match and If-None-Match.", _TEXT),
    "Idempotency-Replayed": ("Only on a repeated request: the answer is the one that the first got.", _TEXT),
    "Link": ('The next page, if there is one: `<address>; rel="next"`.', _TEXT),
    "Location": ("Where the new resource is.", _TEXT),
    "RateLimit": ('`"requests";r=599;t=60`: how many requests are left, and seconds until there are more.', _TEXT),
    "RateLimit-Policy": ('`"requests";q=600;w=60`: how many requests are allowed, in how many seconds.', _TEXT),
    "Retry-After": ("Seconds to wait before the next try.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("How to say who one is.", _TEXT),
    "X-Consistency-Token": ("After a write: send it with a read that must see this write.", _TEXT),
    "X-Request-ID": ("Finds the request in the logs; also in `meta.request_id` and in problems.", _TEXT),
    "X-Slipway-Colour": ("The colour that answered.", {"enum": ["none", "blue", "green"]}),
    "X-Slipway-Version": ("The version that answered.", _TEXT),
}
#: Those that only some answers of a status have.
OPTIONAL = {"Idempotency-Replayed", "Link", "RateLimit", "RateLimit-Policy", "X-Consistency-Token"}
#: Those that every answer has.
ALWAYS = ("X-Request-ID", "X-Slipway-Colour", "X-Slipway-Version")

#: Those that every answer of the API has, unless nobody counts.
LIMITED = ("RateLimit-Policy", "RateLimit")

#: Header of a request -> what it asks for, and its schema.
REQUEST_HEADERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Cache-Control": ("`no-cache`: the answer comes from a database, and was not kept.", _TEXT),
    "Idempotency-Key": (
        "Makes a repeated request the same request: it is done once, and answered the same.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
    ),
    "If-Match": ("Only if the resource still has one of these versions (ETags); else 412.", _TEXT),
    "If-None-Match": ("Only if the resource has none of these versions (ETags); else 304.", _TEXT),
    "Last-Event-ID": ("The id of the last event that was read; what follows it is told.", _TEXT),
    "X-Consistency-Token": ("The token of a write that this read must see.", _TEXT),
}

#: Status of a problem -> what it means, and the headers that it carries.
PROBLEMS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request, or its body, cannot be parsed.", ()),
    401: ("Nobody, or nobody that we know.", ("WWW-Authenticate",)),
    403: ("Known, and not allowed.", ()),
    404: ("There is no such resource.", ()),
    406: ("Accept leaves out every form of the answer.", ()),
    409: ("Clashes with what is stored; `code` says how.", ()),
    412: ("Changed since it was read.", ()),
    413: ("The body is too long.", ()),
    414: ("Path and query are too long.", ()),
    415: ("The body is not JSON.", ()),
    422: ("A rule is broken; `errors` names the fields.", ()),
    429: ("Too many requests.", ("RateLimit", "RateLimit-Policy", "Retry-After")),
    431: ("There are too many headers, or one is too long.", ()),
    500: ("Something is wrong with the service.", ()),
    503: ("Not now; nothing is wrong with the request.", ("Retry-After",)),
}


@dataclass(frozen=True)
class Gives:
    """One success.

    Attributes:
        what: a sentence for people.
        model: what is in `data`; None: the answer has no body.
        many: `data` is a list of it.
        partial: the client may have asked for some fields only.
        paged: `meta` tells the way to the next page.
        bare: the model is the whole body, without our envelope.
        forms: media types, where it is not JSON; then there is no model.
        headers: those of `ANSWER_HEADERS` that it carries, besides those of every answer.
        sometimes: those that it carries at times; `what` says when.
    """

    what: str
    model: type[BaseModel] | None = None
    many: bool = False
    partial: bool = False
    paged: bool = False
    bare: bool = False
    forms: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """What a client may send to a route, and every answer it may get.

    What follows from the rest is not repeated: every route answers 400, a guarded one 401 and 403, one that reads a
    body 413, 415 and 422, one of the API 406 and 429, and so on (`app.api.openapi`).

    Attributes:
        gives: status -> success.
        body: the body, None for none.
        query: the query string, None where it is not looked at.
        choices: parameter of the query -> what it may say; `fields` may say several.
        headers: those of `REQUEST_HEADERS` that mean something here.
        refuses: statuses of problems that do not follow from the rest.
        takes_turn: whether it may be refused because of others, by 503; only probes may not.
    """

    gives: Mapping[int, Gives]
    body: type[Strict] | None = None
    query: type[Strict] | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    headers: tuple[str, ...] = ()
    refuses: tuple[int, ...] = ()
    takes_turn: bool = True


def promises(contract: Contract) -> Callable[[V], V]:
    """Say what a view promises."""

    def mark(view: V) -> V:
        setattr(view, _ATTRIBUTE, contract)
        return view

    return mark


def contract_of(view: Callable[..., Any]) -> Contract | None:
    """Return what a view promises; None if nobody has said it."""
    return getattr(view, _ATTRIBUTE, None)


def refuse_unmet_accept() -> None:
    """Refuse a request to the API, before anything is changed, whose answer its client could not read.

    Raises:
        Problem: 406, Accept leaves out every form that the route answers with.
    """
    asked = current()
    if asked.endpoint is None or not versioned(asked.path) or asked.environ.get("HTTP_ACCEPT", "*/*") == "*/*":
        return
    contract = contract_of(context().app.view_functions[asked.endpoint])
    named = () if contract is None else tuple(form for gives in contract.gives.values() for form in gives.forms)
    forms = named or (JSON,)
    if not any(takes(asked.accept_mimetypes, form) for form in forms):
        raise invalid("not_acceptable", f"Accept leaves out {' and '.join(forms)}; add one.", status=406)
