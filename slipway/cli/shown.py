"""The ingress certificate of a running platform: what its Secret holds, what HAProxy shows; another in its place."""

import base64
import json
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, final

from infra import tls
from infra.naming import INGRESS_CERTIFICATE_SECRET, Namespace

#: New connections, so many that each of two HAProxys has taken one (all by one of them: 2 in 2^20).
HANDSHAKES: Final = 20
_PORT: Final = 443
_SECONDS: Final = 5.0  # for each of them
_TAKEN: Final = ("managedFields", "resourceVersion", "uid", "creationTimestamp")

Kubectl = Callable[..., str]


@final
class IngressCertificate:
    """`slipway.proof.surroundings.Certificate` over kubectl and new connections.

    Args:
        kubectl: Runs kubectl as the administrator; takes `stdin`.
        address: Where HAProxy is reached.
        host: Name that is asked for.
        renew: Makes every certificate of the platform anew.
    """

    def __init__(self, kubectl: Kubectl, address: str, host: str, renew: Callable[[], object]) -> None:
        self._kubectl = kubectl
        self._address = address
        self._host = host
        self._renew = renew
        self._saved: dict[str, Any] | None = None

    def issued(self) -> int:
        """Serial number of what the Secret holds.

        Raises:
            NodeError: the API does not answer.
        """
        return tls.serial(base64.b64decode(self._secret()["data"]["tls.crt"]).decode())

    def shown(self) -> frozenset[int]:
        """Serial numbers that new connections are shown. Raises `OSError` if nothing answers."""
        return frozenset(tls.serial(self._handshake()) for _ in range(HANDSHAKES))

    def renew(self) -> None:
        """Make every certificate of the platform anew, as `slipway certificates rotate` does."""
        self._renew()

    def show_strangers(self) -> None:
        """Put one in its place that an authority has signed which no client trusts."""
        secret = self._secret()
        self._saved = dict(secret["data"])
        now = datetime.now(UTC)
        pair = tls.server([self._host], tls.authority("A stranger", days=1, now=now), days=1, now=now)
        self._write(secret, {"tls.crt": _encoded(pair.certificate), "tls.key": _encoded(pair.private_key)})

    def show_own(self) -> None:
        """Put back what was there; harmless if it is."""
        if self._saved is not None:
            self._write(self._secret(), self._saved)
            self._saved = None

    def _secret(self) -> dict[str, Any]:
        words = ("get", "secret", INGRESS_CERTIFICATE_SECRET, f"--namespace={Namespace.INGRESS.value}")
        return json.loads(self._kubectl(*words, "--output=json", "--show-managed-fields"))

    def _write(self, secret: dict[str, Any], data: dict[str, str]) -> None:
        """In the name of who wrote it: in another one, the next `pulumi up` would find its own fields taken."""
        kept = {key: value for key, value in secret["metadata"].items() if key not in _TAKEN}
        document = {**secret, "metadata": kept, "data": {**secret["data"], **data}}
        self._kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={_owner(secret)}",
            "--filename=-",
            stdin=json.dumps(document),
        )

    def _handshake(self) -> str:
        context = ssl.create_default_context()
        context.check_hostname = False  # who is shown is asked here, not whether to trust it
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((self._address, _PORT), timeout=_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=self._host) as secured,
        ):
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


def _owner(secret: dict[str, Any]) -> str:
    owners = [it["manager"] for it in secret["metadata"]["managedFields"] if "f:data" in it.get("fieldsV1", {})]
    return str(owners[0])


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
