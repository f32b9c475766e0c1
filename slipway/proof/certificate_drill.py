"""The drill of certificates: all are made anew under load that makes a new connection for each request."""

import contextlib
from dataclasses import dataclass, replace
from typing import Final

from slipway.proof.bars import Limits
from slipway.proof.catalogue import LEDGER_CONTROL, DrillInfo
from slipway.proof.drill import Drill, Shape
from slipway.proof.faults import Fault, FaultError, Switch
from slipway.proof.surroundings import ENOUGH, Certificate, NothingToBreakError, Surroundings, all_back

_STRANGER_CONTROL: Final = "with a certificate of an authority that clients do not trust, failures show"
_SEEN: Final = 5.0  # seconds that a certificate is shown before it is judged whether all show it
_READY_WITHIN: Final = 300.0


@dataclass(slots=True)
class Rotation:
    """Certificates that change; the fault of the drill, and of its control."""

    certificate: Certificate
    strangers: bool = False

    def fault(self) -> Fault:
        """What happens now: all are made anew, or in the control a stranger's takes the place of the own one."""
        if self.strangers:
            return Switch("a stranger's certificate", self.certificate.show_strangers, self.certificate.show_own)
        return Switch("make every certificate anew", self._renew, lambda: None)

    def everywhere(self) -> bool:
        """Whether new connections are shown the one that is to be shown, and no other."""
        with contextlib.suppress(OSError):
            return self.certificate.shown() == frozenset({self.certificate.issued()})
        return False

    def of_strangers(self) -> Switch:
        """The control: no protection is lost, but what clients trust."""

        def turn(strangers: bool) -> None:  # one switch, two ways
            self.strangers = strangers

        return Switch("a certificate of strangers", lambda: turn(True), lambda: turn(False))

    def _renew(self) -> None:
        before = self.certificate.issued()
        self.certificate.renew()
        if self.certificate.issued() == before:
            raise FaultError(
                f"the certificate {before:x} of the ingress was to be made anew, and is the same as before"
            )


def _rotation(surroundings: Surroundings) -> Drill:
    if surroundings.certificate is None:
        raise NothingToBreakError("the certificate of the ingress cannot be changed from here")
    rotation, back = Rotation(surroundings.certificate), all_back(surroundings)
    return Drill(
        name="certificate-rotation",
        plan=replace(surroundings.plan, reconnect=True),
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(times=2, hold=_SEEN, recovered_within=_READY_WITHIN),
        next_fault=lambda _number: rotation.fault(),
        ready=lambda: rotation.everywhere() and back(),
        connect=surroundings.connect,
        without_protection=rotation.of_strangers(),
    )


INFO: Final = DrillInfo(
    "certificate-rotation",
    "Every certificate of the platform is made anew, twice; each request makes a connection.",
    (f"0 failed of >= {ENOUGH:,}", "every HAProxy shows the new one", "0 acknowledged writes lost or doubled"),
    (_STRANGER_CONTROL, LEDGER_CONTROL),
    12,
    _rotation,
)
