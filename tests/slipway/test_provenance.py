"""An attestation holds for one digest, one key and one statement, and for nothing else."""

import base64
import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from slipway import cli, provenance
from slipway.provenance import Built, ProvenanceError

DIGEST, OTHER = ("sha256:" + letter * 64 for letter in "ab")
IMAGE = f"registry.test:5000/team/notes:v1@{DIGEST}"
BUILT = Built(
    image=IMAGE,
    repository="https://github.com/team/notes",
    ref="refs/tags/v1",
    commit="c" * 40,
    builder="https://github.com/team/notes/.github/workflows/release.yml@refs/tags/v1",
    run="https://github.com/team/notes/actions/runs/1/attempts/1",
    finished=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def pem(private):
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


KEYS = {
    "ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
    "ecdsa": pem(ec.generate_private_key(ec.SECP256R1())),
}
SECRET, PUBLIC = KEYS["ed25519"]
ENVELOPE = provenance.sign(provenance.statement(BUILT), SECRET)


@pytest.mark.parametrize("kind", KEYS)
def test_what_was_signed_is_verified_wherever_the_image_is_copied_to(kind):
    secret, public = KEYS[kind]
    envelope = provenance.sign(provenance.statement(BUILT), secret)
    assert "\n" not in envelope
    said = provenance.verify(envelope, public, f"other.test/copy@{DIGEST}", repository=BUILT.repository)
    assert said["subject"] == [{"name": "registry.test:5000/team/notes", "digest": {"sha256": "a" * 64}}]
    assert said["predicate"]["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "git+https://github.com/team/notes@refs/tags/v1", "digest": {"gitCommit": "c" * 40}}
    ]


def test_the_envelope_is_of_the_form_that_others_read():
    envelope = json.loads(ENVELOPE)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    payload = base64.b64decode(envelope["payload"], validate=True)
    assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
    # By the specification's own words, and another library: SIGNATURE = Sign(PAE(payloadType, payload)).
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    provenance.public_key(PUBLIC)._crypto_key().verify(signature, signed)


def test_another_digest_is_refused():
    with pytest.raises(ProvenanceError, match=f"is about {DIGEST}, not {OTHER}"):
        provenance.verify(ENVELOPE, PUBLIC, f"registry.test:5000/team/notes@{OTHER}")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_another_key_is_refused(kind):
    made = {"ed25519": ed25519.Ed25519PrivateKey.generate(), "ecdsa": ec.generate_private_key(ec.SECP256R1())}
    with pytest.raises(ProvenanceError, match="not signed by this key"):
        provenance.verify(ENVELOPE, pem(made[kind])[1], IMAGE)


def test_another_repository_is_refused():
    with pytest.raises(ProvenanceError, match=r"built from 'https://github\.com/team/notes'; wanted"):
        provenance.verify(ENVELOPE, PUBLIC, IMAGE, repository="https://github.com/stranger/notes")


@given(st.data())
def test_a_statement_with_one_byte_changed_is_refused(data):
    envelope = json.loads(ENVELOPE)
    payload = bytearray(base64.b64decode(envelope["payload"]))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    envelope["payload"] = base64.b64encode(bytes(payload)).decode()
    with pytest.raises(ProvenanceError, match="has been changed since"):
        provenance.verify(json.dumps(envelope), PUBLIC, IMAGE)


def test_a_statement_about_another_digest_under_the_same_signature_is_refused():
    envelope = json.loads(ENVELOPE)
    said = provenance.statement(replace(BUILT, image=f"registry.test/notes@{OTHER}"))
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    with pytest.raises(ProvenanceError, match="has been changed since"):
        provenance.verify(json.dumps(envelope), PUBLIC, f"registry.test/notes@{OTHER}")


@pytest.mark.parametrize("change", [{"payloadType": "text/plain"}, {"signatures": []}], ids=["kind", "unsigned"])
def test_an_envelope_with_another_cover_is_refused(change):
    with pytest.raises(ProvenanceError, match="not signed by this key"):
        provenance.verify(json.dumps(json.loads(ENVELOPE) | change), PUBLIC, IMAGE)


@pytest.mark.parametrize("change", [{"_type": "x"}, {"predicateType": "x"}, {"subject": "x"}, {"predicate": []}])
def test_a_signed_statement_of_another_kind_is_refused(change):
    envelope = provenance.sign(provenance.statement(BUILT) | change, SECRET)
    with pytest.raises(ProvenanceError, match="holds no statement"):
        provenance.verify(envelope, PUBLIC, IMAGE)


@given(
    st.text(max_size=60) | st.sampled_from(["{}", "[]", "null", '{"payload": 1, "payloadType": "", "signatures": []}'])
)
def test_whatever_is_no_envelope_is_told(text):
    with pytest.raises(ProvenanceError):
        provenance.verify(text, PUBLIC, IMAGE)
    with pytest.raises(ProvenanceError):
        provenance.verify(provenance.unpacked(provenance.packed(text)), PUBLIC, IMAGE)


def test_keys_of_another_kind_are_refused():
    secret, public = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(ProvenanceError, match="allowed are Ed25519 and ECDSA"):
        provenance.sign({}, secret)
    with pytest.raises(ProvenanceError, match="allowed are Ed25519 and ECDSA"):
        provenance.verify(ENVELOPE, public, IMAGE)
    with pytest.raises(ProvenanceError, match="cannot be read as PEM"):
        provenance.sign({}, b"no key")


GITHUB = {
    "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "team/notes",
    "GITHUB_REF": "refs/tags/v1", "GITHUB_SHA": "c" * 40, "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_WORKFLOW_REF": "team/notes/.github/workflows/release.yml@refs/tags/v1",
}  # fmt: skip


def audit(*arguments, **environment):
    told = {"SLIPWAY_SIGNING_KEY": SECRET.decode(), "SLIPWAY_SIGNING_PUBLIC_KEY": PUBLIC.decode()}
    return CliRunner().invoke(cli.cli, ["audit", *arguments], env=told | environment)


def test_what_a_workflow_signs_the_next_one_verifies(tmp_path):
    output, envelope = tmp_path / "output", tmp_path / "build" / "attestation.json"
    done = audit("sign", IMAGE, f"--output={output}", f"--envelope={envelope}", **GITHUB)
    assert done.exit_code == 0, done.output
    word = done.stdout.strip()
    assert output.read_text() == f"attestation={word}\n"
    assert "PRIVATE" not in done.output + envelope.read_text()
    told = audit("verify", IMAGE, "--repository=https://github.com/team/notes", SLIPWAY_ATTESTATION=word)
    assert told.exit_code == 0, told.output
    assert "refs/tags/v1" in told.output
    assert audit("verify", IMAGE, f"--envelope={envelope}").exit_code == 0
    assert audit("verify", f"notes@{OTHER}", SLIPWAY_ATTESTATION=word).exit_code == 1
    assert audit("verify", IMAGE, "--repository=https://github.com/a/b", SLIPWAY_ATTESTATION=word).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["sign", IMAGE], {"SLIPWAY_SIGNING_KEY": ""}, "SLIPWAY_SIGNING_KEY is not set"),
        (["sign", "notes:1"], GITHUB, "digest"),
        (["verify", IMAGE], {}, "give --attestation or --envelope"),
        (["verify", IMAGE, "--attestation=x"], {"SLIPWAY_SIGNING_PUBLIC_KEY": ""}, "PUBLIC_KEY is not set"),
        (["verify", "notes:1", f"--attestation={provenance.packed(ENVELOPE)}"], {}, "digest"),
    ],
)
def test_wrong_usage_is_told(arguments, environment, told):
    done = audit(*arguments, **environment)
    assert done.exit_code == 2, done.output
    assert told in done.output


def test_by_hand_the_commit_is_that_of_the_folder_and_nothing_may_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.test"]
    (tmp_path / "file").write_text("one")
    for words in (
        ["init", "-q", "-b", "main"],
        ["remote", "add", "origin", "https://git.test/notes"],
        ["add", "file"],
        [*who, "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *words], check=True, env=dict(os.environ))
    done = audit("sign", IMAGE)
    assert done.exit_code == 0, done.output
    said = provenance.verify(provenance.unpacked(done.stdout.strip()), PUBLIC, IMAGE)
    assert said["predicate"]["buildDefinition"]["externalParameters"] == {
        "repository": "https://git.test/notes", "ref": "refs/heads/main"
    }  # fmt: skip
    (tmp_path / "file").write_text("two")
    done = audit("sign", IMAGE)
    assert done.exit_code == 2
    assert "differ from the last commit" in done.output
