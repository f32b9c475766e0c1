"""Values that several settings have."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

from infra.naming import dns_label


def _network(value: str) -> str:
    network = ipaddress.ip_network(value)
    if not network.is_private:
        raise ValueError("must be a private network, such as 10.123.0.0/24")
    return value


def _addresses(value: str) -> str:
    first, _, last = value.partition("-")
    try:
        start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError as error:
        raise ValueError("must be two addresses with a hyphen between, such as 10.123.0.200-10.123.0.250") from error
    if start.version != end.version or int(start) > int(end):
        raise ValueError("must begin with the lower of two addresses of one family")
    return value


def _pinned_image(value: str) -> str:
    name, _, digest = value.partition("@sha256:")
    if not name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004  # hex digits of SHA-256
        raise ValueError("must be pinned by digest, as registry/name@sha256:<64 hexadecimal digits>")
    return value


def _archive_name(value: str) -> str:
    return dns_label("the archive", value)


def _domain(value: str) -> str:
    labels = value.split(".")
    plain = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if len(labels) < 2 or any(not label or set(label) - plain or label[0] == "-" for label in labels):  # noqa: PLR2004  # a name and a top level
        raise ValueError("must be a domain name in lower case, such as slipway.test")
    return value


Network = Annotated[str, AfterValidator(_network)]
Addresses = Annotated[str, AfterValidator(_addresses)]
PinnedImage = Annotated[str, AfterValidator(_pinned_image)]
ArchiveName = Annotated[str, AfterValidator(_archive_name)]
Domain = Annotated[str, AfterValidator(_domain)]
