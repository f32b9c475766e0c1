"""Keys of an issuer: seldom fetched, kept while it is away, not for ever; words of a token grant what is listed."""

import json
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import ValidationError

from app.core.issuer import ExternalIssuer, permissions_of, words_in
from app.core.issuer_keys import (
    COOLDOWN_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    IssuerAwayError,
    IssuerKey,
    IssuerKeys,
    parse_keys,
)
from app.core.principals import GRANTS, PERMISSIONS, Role
from app.core.settings import SettingsError, load_settings
from app.core.tokens import ISSUER

KEY = IssuerKey(ed25519.Ed25519PrivateKey.generate().public_key(), ("EdDSA",))
TRUSTED = {
    "issuer": "https://login.test/",
    "jwks_url": "https://login.test/jwks",
    "audience": "payload",
    "grants": {"editors": "editor"},
}


class World:
    """An issuer that has these keys, and a clock that stands still."""

    def __init__(self, *names):
        self.now = 0.0
        self.names = set(names)
        self.up = True
        self.fetches = []
        self.keys = IssuerKeys(self.fetch, lambda: self.now)

    def fetch(self):
        self.fetches.append(self.now)
        if not self.up:
            raise IssuerAwayError("away")
        return dict.fromkeys(self.names, KEY)

    def ask(self, kid):
        try:
            return self.keys.get(kid) is not None
        except IssuerAwayError:
            return "away"


def test_keys_are_fetched_once_and_again_when_they_are_old():
    world = World("a")
    assert [world.ask("a") for _ in range(3)] == [True, True, True]
    world.now = FRESH_SECONDS - 1
    assert world.ask("a")
    assert world.fetches == [0]
    world.now = FRESH_SECONDS
    world.names = {"b"}
    assert [world.ask("a"), world.ask("b")] == [False, True]
    assert world.fetches == [0, FRESH_SECONDS]


def test_a_new_key_is_found_and_invented_ones_cost_no_fetches():
    world = World("a")
    world.ask("a")
    world.names = {"a", "b"}
    world.now = COOLDOWN_SECONDS
    assert world.ask("b")
    for number in range(100):
        assert world.ask(f"invented-{number}") is False
    assert world.fetches == [0, COOLDOWN_SECONDS]


def test_an_issuer_that_is_away_is_asked_seldom_and_its_keys_are_kept_for_a_while():
    world = World("a")
    assert world.ask("a")
    world.up = False
    world.now = FRESH_SECONDS
    assert [world.ask("a") for _ in range(50)] == [True] * 50
    assert world.ask("b") == "away"
    assert world.fetches == [0, FRESH_SECONDS]
    world.now = KEPT_SECONDS
    assert world.ask("a") == "away"
    world.up = True
    world.now += COOLDOWN_SECONDS
    assert world.ask("a")


def test_before_the_first_keys_nothing_is_known():
    world = World("a")
    world.up = False
    assert [world.ask("a") for _ in range(5)] == ["away"] * 5
    assert world.fetches == [0]


STEPS = st.lists(
    st.tuples(
        st.floats(0, KEPT_SECONDS, allow_nan=False) | st.sampled_from([0.0, 1.0, COOLDOWN_SECONDS, FRESH_SECONDS]),
        st.booleans(),
        st.sets(st.sampled_from("abc")),
        st.sampled_from("abcd"),
    ),
    max_size=40,
)


@given(STEPS)
def test_fetches_keep_their_distance_and_no_answer_is_older_than_it_may_be(steps):
    world = World("a")
    given_at, held = None, set()  # the last success, and what it brought
    for wait, up, names, kid in steps:
        world.now += wait
        world.up, world.names = up, names
        before = len(world.fetches)
        answer = world.ask(kid)
        if len(world.fetches) > before and up:
            given_at, held = world.now, set(names)
        current = given_at is not None and world.now - given_at < KEPT_SECONDS
        assert (answer is True) == (current and kid in held)
        # Old keys are believed only if the issuer was asked, or has been a moment ago.
        assert (
            answer is not True
            or world.now - given_at < FRESH_SECONDS
            or (world.now - world.fetches[-1] < COOLDOWN_SECONDS)
        )
    assert all(
        later - earlier >= COOLDOWN_SECONDS for earlier, later in zip(world.fetches, world.fetches[1:], strict=False)
    )


def test_while_one_thread_fetches_others_go_on_with_the_keys_they_have():
    world = World("a")
    assert world.ask("a")
    asked, release, found = threading.Event(), threading.Event(), []

    def slow():
        asked.set()
        release.wait()
        return {"a": KEY, "b": KEY}

    world.keys._fetch = slow
    world.now = FRESH_SECONDS
    one = threading.Thread(target=lambda: found.append(world.ask("b")))
    one.start()
    asked.wait()
    assert world.ask("a")  # would hang if it waited
    two = threading.Thread(target=lambda: found.append(world.ask("b")))
    two.start()
    release.set()
    one.join()
    two.join()
    assert found == [True, True]


def jwk(key, algorithm, **values):
    return {**json.loads(algorithm.to_jwk(key.public_key())), **values}


RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def test_only_keys_that_can_be_used_here_are_taken():
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - must be refused
    document = {
        "keys": [
            jwk(RSA, RSAAlgorithm, kid="rsa"),
            jwk(RSA, RSAAlgorithm, kid="pinned", alg="PS256", use="sig"),
            jwk(CURVE, ECAlgorithm, kid="curve"),
            jwk(ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm, kid="okp", alg="EdDSA"),
            jwk(RSA, RSAAlgorithm, kid="rsa", alg="PS256"),  # the second of this name
            jwk(short, RSAAlgorithm, kid="short"),
            jwk(RSA, RSAAlgorithm, kid="encrypts", use="enc"),
            jwk(RSA, RSAAlgorithm, kid="other", alg="RS512"),
            jwk(RSA, RSAAlgorithm),
            jwk(RSA, RSAAlgorithm, kid=7),
            {**json.loads(RSAAlgorithm.to_jwk(RSA)), "kid": "private"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "RS256"},
            {"kty": "new", "kid": "unknown"},
            "nothing",
        ]
    }
    found = parse_keys(document, ("RS256", "PS256", "ES256"))
    assert {kid: key.algorithms for kid, key in found.items()} == {
        "rsa": ("RS256", "PS256", "ES256"),
        "pinned": ("PS256",),
        "curve": ("RS256", "PS256", "ES256"),
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "kid", "kty", "n"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_a_document_without_keys_is_refused_whatever_it_is(document):
    with pytest.raises(IssuerAwayError, match="no key with a kid"):
        parse_keys(document, ("RS256",))


GRANTED = st.dictionaries(st.text(max_size=5), st.sampled_from([*Role, *sorted(PERMISSIONS)]), max_size=5)


@given(st.frozensets(st.text(max_size=5), max_size=8), GRANTED)
def test_words_grant_what_is_listed_and_nothing_else(words, grants):
    found = permissions_of(words, grants)
    expected = set()
    for word, name in grants.items():
        if word in words:
            expected |= GRANTS[Role(name)] if name in set(Role) else {name}
    assert found == expected
    assert permissions_of(words - set(grants), grants) == frozenset()


CLAIMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from("ab"), CLAIMS), st.lists(st.sampled_from("ab"), min_size=1, max_size=3))
def test_any_claims_give_words_or_none(claims, path):
    assert all(isinstance(word, str) for word in words_in(claims, tuple(path)))


def test_words_are_in_a_list_or_in_a_text_and_may_be_deep():
    claims = {"scope": "a  b", "realm": {"roles": ["c", 7, "d e"]}, "one": 1}
    assert words_in(claims, ("scope",)) == {"a", "b"}
    assert words_in(claims, ("realm", "roles")) == {"c", "d e"}
    for path in (("one",), ("scope", "roles"), ("realm",), ("gone", "deeper")):
        assert words_in(claims, path) == frozenset()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"issuer": ISSUER}, "our own tokens"),
        ({"jwks_url": "http://login.test/jwks"}, "JWKS_URL"),
        ({"jwks_url": "https://user@login.test/jwks"}, "JWKS_URL"),
        ({"audience": ""}, "AUDIENCE"),
        ({"algorithms": ["HS256"]}, "RS256"),
        ({"algorithms": []}, "ALGORITHMS"),
        ({"claim": []}, "CLAIM"),
        ({"grants": {}}, "GRANTS"),
        ({"grants": {"x": "root"}}, "grants root; allowed: a role"),
        ({"ca_file": "/nowhere"}, "CA_FILE"),
        ({"jwks": "x"}, "JWKS"),
    ],
)
def test_settings_that_would_trust_too_much_are_refused(monkeypatch, tmp_path, change, told):
    url = tmp_path / "url"
    url.write_text("postgresql+psycopg://payload:s3cr3t@db.test:5432/payload")
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(url))
    monkeypatch.setenv("SLIPWAY_EXTERNAL_ISSUER", json.dumps(TRUSTED))
    assert load_settings().external_issuer == ExternalIssuer.model_validate(TRUSTED)
    monkeypatch.setenv("SLIPWAY_EXTERNAL_ISSUER", json.dumps({**TRUSTED, **change}))
    with pytest.raises(SettingsError, match=told):
        load_settings()


def test_a_grant_may_be_one_permission():
    trusted = ExternalIssuer.model_validate({**TRUSTED, "grants": {"read": "users:read"}})
    assert permissions_of(frozenset({"read"}), trusted.grants) == {"users:read"}
    with pytest.raises(ValidationError):
        ExternalIssuer.model_validate({**TRUSTED, "grants": {"read": "users:burn"}})
