"""Generated passwords: strong, safe in a URL, made once, and never in plain text."""

from urllib.parse import quote

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from infra.components.generated import PASSWORD_BYTES, GeneratedPassword, PasswordProvider


def test_a_password_needs_no_quoting_and_is_another_each_time():
    made = [PasswordProvider().create({"bytes": PASSWORD_BYTES}) for _ in range(20)]
    passwords = {it.outs["password"] for it in made}
    assert len(passwords) == len({it.id for it in made}) == 20
    assert all(len(it) == 43 and quote(it, safe="") == it for it in passwords)


def test_a_password_stays_what_it_is():
    diff = PasswordProvider().diff("id", {"bytes": 32, "password": "old"}, {"bytes": 32})
    assert (diff.changes, diff.replaces) == (False, [])


def test_another_length_makes_another_password():
    diff = PasswordProvider().diff("id", {"bytes": 32, "password": "old"}, {"bytes": 64})
    assert (diff.changes, diff.replaces) == (True, ["bytes"])


def test_the_password_is_secret(deploy):
    run = deploy(lambda: GeneratedPassword("one").password.apply(lambda it: it))
    made = run.one("pulumi-python:dynamic/slipway:GeneratedPassword")
    assert made.additional_secret_outputs == ("password",)
    assert set(made.inputs) == {"bytes", "__provider"}
    assert not [text for text in run.plain_texts() if "plain-password" in text]


def test_the_code_that_makes_it_is_the_same_in_every_run():
    assert serialize_provider(PasswordProvider()) == serialize_provider(PasswordProvider())


@pytest.mark.parametrize("length", [0, 15])
def test_a_weak_password_is_refused(deploy, length):
    with pytest.raises(ValueError, match=rf"'one' asks for {length} random bytes; allowed is 16 or more"):
        deploy(lambda: GeneratedPassword("one", length=length))
