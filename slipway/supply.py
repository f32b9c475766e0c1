"""What we are made of, and what is known against it: the pure part. Exceptions are data, and end by themselves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from slipway.reports import Bar, Report, Section, derive, rows

LONGEST: Final = timedelta(days=90)
#: What is listed apart: name of the list -> how uv selects it. The first two are all that their images install.
LISTS: Final = {
    "service": ("--only-group", "app"),
    "controller": ("--only-group", "rollout"),
    "tool": ("--no-default-groups",),
}

#: What the gate does not look at, said in each of its reports (docs/adr/0111).
NOT_ASKED: Final = "Debian packages and Go modules of the images; `slipway audit image` lists them for other tools"


class SupplyError(ValueError):
    """An answer or a file that cannot be understood; the message names it."""


class Accepted(BaseModel):
    """A vulnerability that we live with for a while."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    package: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=20)]
    since: date
    until: date

    @model_validator(mode="after")
    def _ends_soon(self) -> Self:
        if not self.since < self.until <= self.since + LONGEST:
            raise ValueError(
                f"{self.id} is accepted from {self.since} until {self.until}; allowed: until after since, "
                f"and at most {LONGEST.days} days later. Look at it again, and write a new since"
            )
        return self


@dataclass(frozen=True, slots=True)
class Found:
    """A vulnerability of a package that we use: all its names, and the versions that mend it."""

    package: str
    version: str
    names: tuple[str, ...]
    summary: str
    fixed_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """What uv found: how many packages it asked for, vulnerabilities, and packages that were withdrawn."""

    packages: int
    found: tuple[Found, ...]
    withdrawn: tuple[str, ...]


def read_exceptions(path: Path) -> tuple[Accepted, ...]:
    """The exceptions of a file.

    Raises:
        SupplyError: the file is missing, or one of them breaks a rule.
    """
    try:
        listed = yaml.safe_load(path.read_text())["exceptions"]
        return tuple(Accepted.model_validate(one) for one in listed)
    except OSError as error:
        raise SupplyError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, it['loc'])) or 'exception'}: {it['msg']}" for it in error.errors())
        raise SupplyError(f"{path}: {told}") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise SupplyError(f"{path} must hold a list `exceptions`: {type(error).__name__}: {error}") from error


def parse_audit(text: str) -> Audit:
    """Read what `uv audit --output-format json` answers.

    Raises:
        SupplyError: it is something else.
    """
    try:
        answer: dict[str, Any] = json.loads(text)
        return Audit(
            packages=int(answer["summary"]["audited_packages"]),
            found=tuple(
                Found(
                    package=it["dependency"]["name"],
                    version=it["dependency"]["version"],
                    names=(it["id"], *it["aliases"]),
                    summary=it["summary"] or "",
                    fixed_in=tuple(it["fix_versions"]),
                )
                for it in answer["vulnerabilities"]
            ),
            withdrawn=tuple(json.dumps(it, sort_keys=True) for it in answer["adverse_statuses"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SupplyError(f"uv audit answered something else than its JSON: {type(error).__name__}: {error}") from error


def excuse(it: Found, accepted: Sequence[Accepted], today: date) -> Accepted | None:
    """The exception that holds today for a vulnerability, by any of its names, of the package that is named."""
    return next(
        (one for one in accepted if one.id in it.names and one.package == it.package and today <= one.until), None
    )


def bars(audit: Audit | None, accepted: Sequence[Accepted], today: date) -> tuple[Bar, ...]:
    """The bars of an audit; None: nobody answered."""
    what = ("known vulnerabilities without an exception", "withdrawn packages")
    if audit is None:
        return tuple(Bar.not_run(it, "0", "the service that knows vulnerabilities did not answer") for it in what)
    bare = [it for it in audit.found if excuse(it, accepted, today) is None]
    return (
        Bar.at_least("packages asked for", audit.packages, 1),
        Bar.exactly(what[0], len(bare), 0),
        Bar.exactly(what[1], len(audit.withdrawn), 0),
    )


def report(
    audit: Audit | None, accepted: Sequence[Accepted], *, today: date, started: datetime, seconds: float
) -> Report:
    """The report `audit`."""
    known = bars(audit, accepted, today)
    found = () if audit is None else audit.found
    used = {one.id for it in found if (one := excuse(it, accepted, today)) is not None}
    figures: dict[str, JsonValue] = {
        "packages": None if audit is None else audit.packages,
        "not asked": NOT_ASKED,
        "vulnerabilities": [f"{it.names[0]} in {it.package} {it.version}" for it in found],
        "exceptions in use": [*sorted(used)],
        "exceptions to remove": [*sorted(one.id for one in accepted if one.id not in used)],
    }
    return Report(name="audit", started=started, seconds=seconds, figures=figures, bars=known, verdict=derive(known))


def sections(audit: Audit | None, accepted: Sequence[Accepted], today: date) -> tuple[Section, ...]:
    """What was found, and why it may stay."""
    if audit is None or not audit.found:
        return ()
    columns = ("package", "version", "known as", "what", "mended in", "accepted")
    table: list[tuple[str, ...]] = []
    for it in audit.found:
        one = excuse(it, accepted, today)
        told = f"until {one.until}: {one.reason}" if one else "no"
        table.append((it.package, it.version, ", ".join(it.names), it.summary, ", ".join(it.fixed_in) or "none", told))
    return (Section("Known vulnerabilities", rows(columns, table)),)
