"""A folder with a Dockerfile is built and pushed by the real buildah, to a real registry over mutual TLS."""

import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ports import free_port

from slipway import cli
from slipway.node import pki
from slipway.toolchain.images.dockerfile import publish
from slipway.toolchain.images.store import ImageError

KEY = Ed25519PrivateKey.generate()
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Address of a registry and the folder with what it asks of clients."""
    folder = tmp_path_factory.mktemp("registry")
    pki.ensure_ca(folder, "ca", "test")
    pki.ensure_leaf(folder, pki.Leaf("server", "localhost", hosts=("localhost", "127.0.0.1")))
    pki.ensure_leaf(folder, pki.Leaf("client", "client"))
    (folder / "client.cert").write_bytes((folder / "client.crt").read_bytes())
    trusted = folder / "trusted"
    trusted.mkdir()
    for name in ("ca.crt", "client.cert", "client.key"):
        (trusted / name).write_bytes((folder / name).read_bytes())
    port = free_port()
    tls = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key"),
           "clientcas": [str(folder / "ca.crt")]}  # fmt: skip
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}}
    settings = {"version": 0.1, "http": {"addr": f"127.0.0.1:{port}", "tls": tls}, "storage": storage}
    (folder / "config.yml").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    trust.load_cert_chain(folder / "client.crt", folder / "client.key")

    def ask(path, kind="application/vnd.oci.image.manifest.v1+json"):
        question = urllib.request.Request(f"https://localhost:{port}{path}", headers={"Accept": kind})
        with urllib.request.urlopen(question, context=trust) as answer:  # noqa: S310  # our own, above
            return json.loads(answer.read() or "null")

    deadline = time.monotonic() + 30
    while True:
        try:
            ask("/v2/")
            break
        except urllib.error.URLError:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
    yield f"localhost:{port}", trusted, ask
    process.terminate()
    process.wait(10)


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "hello").write_text("hello")
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY hello /hello\nUSER 10001\nENTRYPOINT ["/hello"]\n')
    return folder


def test_the_digest_that_is_told_is_what_the_registry_has(registry, context, tmp_path):
    address, trusted, ask = registry
    output = tmp_path / "output"
    arguments = ["image", "publish", "notes", str(context), f"--registry={address}/team", f"--ca={trusted}",
                 f"--output={output}"]  # fmt: skip
    done = CliRunner().invoke(cli.cli, arguments, env={"SLIPWAY_STATE": str(tmp_path / "state")})
    assert done.exit_code == 0, done.output
    name, _, digest = done.stdout.strip().partition("@")
    assert name == f"{address}/team/notes"
    assert output.read_text() == f"image={name}@{digest}\ndigest={digest}\n"
    manifest = ask(f"/v2/team/notes/manifests/{digest}")
    config = ask(f"/v2/team/notes/blobs/{manifest['config']['digest']}")
    assert config["config"]["User"] == "10001"
    assert config["config"]["Entrypoint"] == ["/hello"]


def test_what_a_pushed_image_holds_is_read_from_the_registry_and_signed(registry, context, tmp_path, monkeypatch):
    address, trusted, _ = registry
    monkeypatch.chdir(tmp_path)
    (context / "METADATA").write_text("Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.2\n")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY METADATA /site-packages/thing-1.2.dist-info/METADATA\n")
    keys = {"SLIPWAY_SIGNING_KEY": PRIVATE, "SLIPWAY_SIGNING_PUBLIC_KEY": PUBLIC}
    told = {"SLIPWAY_STATE": str(tmp_path / "state"), **keys}

    def run(*arguments):
        return CliRunner().invoke(cli.cli, [*arguments], env=told)

    pushed = run("image", "publish", "listed", str(context), f"--registry={address}/team", f"--ca={trusted}")
    image = pushed.stdout.strip()
    done = run("audit", "image", image, f"--ca={trusted}")
    assert done.exit_code == 0, done.output
    sbom = tmp_path / "build" / "sbom" / "image-listed.cdx.json"
    read = json.loads(sbom.read_text())
    assert read["metadata"]["component"]["version"] == image.partition("@")[2]
    assert [it["purl"] for it in read["components"]] == ["pkg:pypi/some-thing@1.2"]
    envelope = f"--envelope={tmp_path / 'signed' / 'sbom.json'}"
    assert run("audit", "sign-sbom", image, envelope).exit_code == 0
    assert run("audit", "verify-sbom", image, envelope).exit_code == 0
    other = image[:-64] + "0" * 64
    assert run("audit", "sign-sbom", other, envelope).exit_code == 2
    assert run("audit", "verify-sbom", other, envelope).exit_code == 1
    assert "no statement" in run("audit", "verify", image, envelope).output
    sbom.write_text(sbom.read_text().replace("1.2", "1.3"))
    changed = run("audit", "verify-sbom", image, envelope)
    assert changed.exit_code == 1
    assert "another list" in changed.output
    missing = run("audit", "image", other, f"--ca={trusted}")
    assert isinstance(missing.exception, ImageError)
    assert f"image {other} could not be fetched" in str(missing.exception)


def test_a_registry_without_the_clients_certificate_is_told(registry, context, tmp_path):
    address, trusted, _ = registry
    with pytest.raises(ImageError, match=r"could not be built and pushed to localhost"):
        publish(
            context,
            f"{address}/notes",
            file=context / "Dockerfile",
            ca=trusted / "ca.crt",
            log=tmp_path / "log",
        )


def test_a_folder_without_a_dockerfile_is_told_before_anything_is_run(tmp_path):
    with pytest.raises(ImageError, match="name the service's Dockerfile with --file"):
        publish(tmp_path, "r.test/a", file=tmp_path / "Dockerfile", ca=None, log=tmp_path / "log")
