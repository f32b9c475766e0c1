"""Parameters in place of values: a statement of a hot path is made once, not for each request."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam


def bound(table: Table, names: Iterable[str], prefix: str) -> dict[str, BindParameter[Any]]:
    """Return a parameter for each of these columns; its name has a prefix, which sets it apart from the column's."""
    return {name: bindparam(f"{prefix}_{name}", type_=table.c[name].type) for name in names}


def given(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return values by the names of such parameters."""
    return {f"{prefix}_{name}": value for name, value in values.items()}
