"""Kubernetes' quantities as numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.quantities import QuantityError, millicores, octets


@pytest.mark.parametrize(
    ("text", "expected"), [("2", 2000), ("0.5", 500), ("250m", 250), (1, 1000), ("1500000n", 2), ("900u", 1)]
)
def test_cpu_is_read_as_kubernetes_writes_it(text, expected):
    assert millicores(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("1Gi", 2**30), ("1.5Ki", 1536), ("2M", 2_000_000), ("7", 7)])
def test_bytes_are_read_as_kubernetes_writes_them(text, expected):
    assert octets(text) == expected


@pytest.mark.parametrize("text", ["", "m", "1Gi", "-1", "1 m"])
def test_what_is_no_cpu_is_refused(text):
    with pytest.raises(QuantityError, match="no quantity of CPU"):
        millicores(text)


@pytest.mark.parametrize("text", ["", "Gi", "1g", "1m", "-1"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(QuantityError, match="no quantity of bytes"):
        octets(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_quantities_add_up(first, second):
    assert millicores(f"{first}m") + millicores(f"{second}m") == millicores(f"{first + second}m")
    assert octets(f"{first}Mi") + octets(f"{second}Mi") == octets(f"{first + second}Mi")
