"""What a profile asks of a cluster: CPU, memory and disk per part, counted from the objects that the programs make."""

from infra.footprint.count import FootprintError, Total, Usage, usages
from infra.footprint.rehearsal import Declared, rehearse
from infra.footprint.report import Footprint, footprint

__all__ = ["Declared", "Footprint", "FootprintError", "Total", "Usage", "footprint", "rehearse", "usages"]
