"""The identifier of a request: made by HAProxy, or taken from the client if it is of the form that services take.

Everything after HAProxy is told it in `X-Request-ID`, and so is the client, also by HAProxy's own answers. So one
identifier stands in HAProxy's log, the service's log, the audit row and the trace (docs/adr/0094-one-id.md).
"""

from typing import Final

#: Where HAProxy keeps, while a request lasts, its identifier and that of the trace that the client says it belongs to.
REQUEST_VARIABLE: Final = "txn.slipway_request"
TRACE_VARIABLE: Final = "txn.slipway_trace"

_HEADER: Final = "x-request-id"
#: What services take (`app/core/requests.py`). Anything else would not be the same everywhere, or break lines of logs.
_TAKEN: Final = "^[A-Za-z0-9._-]{1,64}$"
_TRACE: Final = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"


def configuration() -> dict[str, str]:
    """What the ingress controller's configuration says of it.

    The last of several headers counts; the service gets one. The first rules of all, so that redirects have one too.
    """
    given, trace = f"req.fhdr({_HEADER},-1)", "req.fhdr(traceparent,-1)"
    return {
        "config-frontend-early": (
            f"http-request set-var({REQUEST_VARIABLE}) {given} if {{ {given} -m reg {_TAKEN} }}\n"
            f"http-request set-var({REQUEST_VARIABLE}) uuid if !{{ var({REQUEST_VARIABLE}) -m found }}\n"
            f"http-request set-header {_HEADER} %[var({REQUEST_VARIABLE})]\n"
            f"http-request set-var({TRACE_VARIABLE}) {trace},field(2,-) if {{ {trace} -m reg {_TRACE} }}\n"
            f"http-after-response set-header {_HEADER} %[var({REQUEST_VARIABLE})]"
            f" if {{ var({REQUEST_VARIABLE}) -m found }}\n"
        ),
    }
