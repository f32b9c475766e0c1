"""What AWS would refuse, or do although nobody wanted it, is refused here with key, value and what is allowed."""

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.naming import Project
from infra.settings import ClusterSettings, SettingsError, parse
from infra.settings.eks import LOG_DAYS, EksSettings

LEAST = {
    "account": "111122223333",
    "region": "eu-central-1",
    "administrators": ["arn:aws:iam::111122223333:role/deployers"],
}


def read(target="eks", **changed):
    values = {key: value for key, value in {**LEAST, **changed}.items() if value is not None}
    return parse(ClusterSettings, Project.CLUSTER, {"target": target, "eks": json.dumps(values)}).eks


def test_three_settings_are_enough_and_the_rest_is_on_the_safe_side():
    chosen = read()
    assert chosen.zone_names == ("eu-central-1a", "eu-central-1b", "eu-central-1c")
    assert chosen.public_access_from == ()
    assert chosen.nat_per_zone
    assert chosen.network_policies


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"account": "1234"}, r"eks\.account is '1234': must be the twelve digits of an account, in quotes"),
        ({"account": 111122223333}, r"eks\.account is 111122223333: Input should be a valid string"),
        ({"account": None}, r"slipway-cluster:eks\.account is missing"),
        ({"region": "Frankfurt"}, r"eks\.region is 'Frankfurt': must be a region's name, such as eu-central-1"),
        ({"region": "cn-north-1"}, r"eks\.region is 'cn-north-1': is in China"),
        ({"administrators": []}, r"eks\.administrators: Tuple should have at least 1 item"),
        ({"administrators": ["deployers"]}, r"administrators\.0 is 'deployers': must be the ARN of a role or user"),
        (
            {"administrators": ["arn:aws:iam::111122223333:root"]},
            r"must be the ARN of a role or user, such as arn:aws:iam::111122223333:role/deployers",
        ),
        (
            {"administrators": ["arn:aws:sts::111122223333:assumed-role/deployers/me"]},
            r"is a session; name the role that it took",
        ),
        (
            {"administrators": ["arn:aws:iam::444455556666:role/deployers"]},
            r"not of the account 111122223333 .*take a role of this one",
        ),
        ({"administrators": LEAST["administrators"] * 2}, r"administrators names .*role/deployers more than once"),
        ({"region": "us-gov-west-1"}, r"not of the account 111122223333 \(arn:aws-us-gov:iam::111122223333:"),
        ({"zones": "a,b"}, r"zones is 'a,b': must be the letters of three different zones"),
        ({"zones": "a,b,b"}, r"must be the letters of three different zones"),
        ({"zones": "a,b,1"}, r"must be the letters of three different zones"),
        ({"network": "10.40.0.0/21"}, r"network is '10\.40\.0\.0/21': must be from /16 to /20"),
        ({"network": "10.0.0.0/8"}, r"must be from /16 to /20"),
        ({"network": "10.40.1.0/16"}, r"has host bits set"),
        ({"network": "198.51.0.0/16"}, r"must be inside 10\.0\.0\.0/8, 172\.16\.0\.0/12 or 192\.168\.0\.0/16"),
        ({"network": "fd00::/16"}, r"must be a network of IPv4"),
        ({"serviceNetwork": "172.20.0.0/25"}, r"serviceNetwork is '172\.20\.0\.0/25': must be from /12 to /24"),
        ({"serviceNetwork": "10.40.128.0/20"}, r"network \(10\.40\.0\.0/16\) and serviceNetwork .* must not overlap"),
        ({"publicAccessFrom": ["0.0.0.0/0"]}, r"publicAccessFrom\.0 is '0\.0\.0\.0/0': must be /16 or narrower"),
        ({"publicAccessFrom": ["0.0.0.0/1", "128.0.0.0/1"]}, r"not for everybody"),
        ({"publicAccessFrom": ["10.1.2.3/32"]}, r"holds addresses that nobody has on the Internet"),
        ({"publicAccessFrom": ["2001:db8::/32"]}, r"must be a network of IPv4"),
        ({"publicAccessFrom": "198.51.100.7/32"}, r"publicAccessFrom is '198\.51\.100\.7/32'.*should be a valid tuple"),
        ({"version": "1.29"}, r"eks\.version is '1\.29'"),
        ({"instanceType": "big"}, r"instanceType is 'big': must be a type of instance"),
        ({"instanceType": "m7g.xlarge"}, r"is of the architecture arm64; the images are for x86-64"),
        ({"instanceType": "c6gn.large"}, r"is of the architecture arm64"),
        ({"instanceType": "a1.large"}, r"is of the architecture arm64"),
        ({"nodes": 2}, r"eks\.nodes is 2: Input should be greater than or equal to 3"),
        ({"disk": 10}, r"eks\.disk is 10"),
        ({"logDays": 100}, r"logDays is 100: must be one of 7, 14, 30, .*CloudWatch knows no others"),
        ({"spot": True}, r"slipway-cluster:eks\.spot is not a setting"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changed, message):
    with pytest.raises(SettingsError, match=message):
        read(**changed)


@pytest.mark.parametrize(
    "kind", ["m6i.xlarge", "m7i-flex.large", "g5.xlarge", "r6id.2xlarge", "u-6tb1.metal", "c5.metal"]
)
def test_instances_of_x86_64_are_taken(kind):
    assert read(instanceType=kind).instance_type == kind


def test_the_settings_belong_to_their_target():
    with pytest.raises(SettingsError, match="eks is required for the target eks: at least account, region and admin"):
        parse(ClusterSettings, Project.CLUSTER, {"target": "eks"})
    with pytest.raises(SettingsError, match="eks must be left out for the target kind: nothing would read it"):
        read(target="kind")


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_whatever_opens_the_api_server_to_the_internet_is_narrow_and_public(base, length):
    value = str(ipaddress.ip_network((base, length), strict=False))
    try:
        EksSettings.model_validate({**LEAST, "public_access_from": [value]})
    except ValueError:
        network = ipaddress.ip_network(value)
        assert length < 16 or not network.is_global or network.is_multicast
    else:
        assert length >= 16
        assert not any(
            ipaddress.ip_network(value).overlaps(ipaddress.ip_network(it)) for it in ("10.0.0.0/8", "192.168.0.0/16")
        )


@given(st.integers(1, 4000))
def test_logs_are_kept_for_as_long_as_cloudwatch_can(days):
    if days in LOG_DAYS:
        assert EksSettings.model_validate({**LEAST, "log_days": days}).log_days == days
    else:
        with pytest.raises(ValueError, match=r"must be one of|greater than|less than"):
            EksSettings.model_validate({**LEAST, "log_days": days})
