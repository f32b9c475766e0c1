"""Runs our workflows by act on this machine, offline, in a repository whose programs and actions are stand-ins."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
#: Begins every secret that is given to a stand-in.
SECRET = "apiVersion-of-a-cluster-nobody-may-read"
# Runs of it show that a secret in a log would be found.
_LEAK = """on: push
permissions: {{}}
jobs:
  leak:
    runs-on: ubuntu-24.04
    steps:
      - run: echo "$TOLD"
        env:
          TOLD: ${{{{ secrets.{secret} }}}}
"""
NOTHING_LISTENS = "http://127.0.0.1:1"

NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$RECORD"\n'
MAKE = """#!/bin/sh
echo "make $*" >> "$RECORD"
case "$*" in
  sbom) mkdir -p build/sbom && echo '{{}}' > build/sbom/service.cdx.json ;;
  sbom-images*) mkdir -p build/sbom && echo '{{}}' > build/sbom/image-service.cdx.json ;; esac
{fails}
exit 0
"""
# Answers at once, but for what a port-forward must open first: then it tries again, as the real one is told to.
CURL = f"""{NOTE}case "$*" in
  *--retry-connrefused*) n=0; until grep -q port-forward "$RECORD" || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.1; done ;;
esac
"""
SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
# Gives back what jobs have kept, by a name or a pattern of names; makes no folder for what nobody kept, as the real
# one. Names the last good run if a test has told it, else none. Keeps the last comment.
GH = """#!/bin/sh
echo "gh $*" >> "$RECORD"
told="$*"
case "$told" in
  "run list "*) if [ -e "$KEPT/last-good-run" ]; then cat "$KEPT/last-good-run"; fi ;;
  "run download "*" --pattern "*) ls -d "$KEPT"/$5 && mkdir -p "$7" && cp -R "$KEPT"/$5 "$7" ;;
  "run download "*" --name "*) ls -d "$KEPT/$5" && mkdir -p "$7" && cp -R "$KEPT/$5/." "$7" ;;
  *" --body-file "*) mkdir -p "$KEPT" && cp "${told##* --body-file }" "$KEPT/comment.md" ;; esac
"""
NOTHING = "runs:\n  using: composite\n  steps:\n    - run: 'true'\n      shell: sh\n"
# Keeps what is uploaded, each under its name.
UPLOAD = """inputs: {name: {}, path: {}, if-no-files-found: {}}
runs:
  using: composite
  steps:
    - run: |
        echo "upload $NAME $(ls "$FOLDER" 2>/dev/null | tr '\\n' ' ')" >> "$RECORD"
        rm -rf "$KEPT/$NAME"
        if [ -d "$FOLDER" ]; then mkdir -p "$KEPT" && cp -R "$FOLDER" "$KEPT/$NAME"
        elif [ -e "$FOLDER" ]; then mkdir -p "$KEPT/$NAME" && cp "$FOLDER" "$KEPT/$NAME"; fi
      shell: sh
      env:
        NAME: ${{ inputs.name }}
        FOLDER: ${{ inputs.path }}
"""
#: Runs the real command line, of this repository and with this Python, as `.venv/bin/slipway` would.
REAL = "unset HTTP_PROXY HTTPS_PROXY; PYTHONPATH={root} exec {python} -m slipway"
EVERYTHING = "--platform=ubuntu-24.04=-self-hosted"


@dataclass(frozen=True)
class Run:
    """One run: its exit code, how each job ended, what was called in which order, all that was logged."""

    code: int
    jobs: dict[str, str]
    calls: list[str]
    log: str

    def called(self, start: str) -> list[str]:
        return [call for call in self.calls if call.startswith(start)]


class Repository:
    """A repository with the workflows of ours and stand-ins for all that they call."""

    def __init__(self, folder: Path, act: Path, files: Mapping[str, str] | None = None) -> None:
        self.folder = folder / "repository"
        self.act = act
        self.record = folder / "record"
        self.kept = folder / "kept"
        self.home = folder / "home"
        self.programs = folder / "programs"
        self.actions = folder / "actions"
        self.secrets = folder / "secrets.yaml"
        self.event = folder / "event.json"
        self.tool = self.folder if files is None else self.folder / ".slipway"
        if files is None:
            shutil.copytree(ROOT / ".github", self.folder / ".github")
        for path, text in (files or {}).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        stands = (
            ("sudo", SUDO),
            ("gh", GH),
            ("curl", CURL),
            *((it, NOTE) for it in ("docker", "google-chrome", "kind", "kubectl")),
        )
        for name, text in stands:
            self.program(name, text)
        self.make()
        for name in ("checkout", "setup-go", "setup-python", "upload-artifact"):
            path = self.actions / name / "action.yml"
            path.parent.mkdir(parents=True)
            path.write_text(UPLOAD if name == "upload-artifact" else NOTHING)
        self.home.mkdir()

    def program(self, name: str, text: str) -> None:
        """A program that every step finds."""
        _executable(self.programs / name, text)

    def slipway(self, text: str) -> None:
        """What `make venv` would leave."""
        _executable(self.tool / ".venv" / "bin" / "slipway", text)

    def last_good(self, run: str) -> None:
        """The run of a workflow that ended well, as `gh run list` names it."""
        self.kept.mkdir(exist_ok=True)
        (self.kept / "last-good-run").write_text(run)

    def make(self, fails: str = "") -> None:
        """The stand-in of `make`; `fails` is shell."""
        self.program("make", MAKE.format(fails=fails))

    def tell_environments_apart(self, workflow: str) -> None:
        """Let each job see the variables and secrets of the environment that it names, which act does not know."""
        path = self.folder / ".github" / "workflows" / f"{workflow}.yml"
        jobs = re.split(r"^(?=  \w+:$)", path.read_text(), flags=re.MULTILINE)
        path.write_text("".join(_of_environment(job) for job in jobs))

    def environment(self, **more: str) -> dict[str, str]:
        """All that a step has from outside."""
        path = f"{self.programs}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), NOTHING_LISTENS)
        return {
            "HOME": str(self.home),
            "PATH": path,
            "RECORD": str(self.record),
            "KEPT": str(self.kept),
            **offline,
            **more,
        }

    def command(
        self,
        workflow: str,
        event: str,
        *,
        inputs: Mapping[str, str] | None = None,
        payload: Mapping[str, object] | None = None,
        secrets: Mapping[str, str],
        variables: Mapping[str, str],
        job: str = "",
        matrix: str = "",
    ) -> list[str]:
        """Commit what is there, and say how act is called.

        Args:
            workflow: file name without its ending.
            event: what has happened.
            inputs: of a dispatch.
            payload: of the event, if it has more than inputs.
            secrets: of the repository.
            variables: of the repository.
            job: this one and what it needs only.
            matrix: of a job that has one, `KEY:VALUE` only.
        """
        self._commit()
        self.event.write_text(json.dumps({"inputs": dict(inputs or {}), **(payload or {})}))
        self.secrets.touch(0o600)
        self.secrets.write_text(yaml.safe_dump(dict(secrets)))
        return [
            *(str(self.act), event, f"--workflows=.github/workflows/{workflow}.yml", f"--eventpath={self.event}"),
            *("--json", EVERYTHING, "--action-offline-mode", "--no-cache-server", "--concurrent-jobs=1"),
            # Else act puts *** in the place of each secret, and no log of it could ever hold one.
            "--insecure-secrets",
            f"--action-cache-path={self.home / 'actions'}",
            f"--secret-file={self.secrets}",
            # A runner of GitHub tells it; act does not.
            f"--env=GITHUB_WORKFLOW_REF=team/ours/.github/workflows/{workflow}.yml@refs/heads/main",
            *(f"--var={name}={value}" for name, value in variables.items()),
            *(f"--input={key}={value}" for key, value in (inputs or {}).items()),
            *(f"--local-repository={pin}={self.actions / pin.partition('/')[2].partition('@')[0]}" for pin in pins()),
            *([f"--job={job}"] if job else []),
            *([f"--matrix={matrix}"] if matrix else []),
        ]

    def told(self, code: int, log: str) -> Run:
        """What a run did, by its log and by what was noted."""
        jobs: dict[str, str] = {}
        for line in log.splitlines():
            if line.startswith("{") and "jobResult" in line:
                it = json.loads(line)
                jobs[it["job"].strip()] = it["jobResult"]
        return Run(code, jobs, self.record.read_text().splitlines() if self.record.exists() else [], log)

    def _commit(self) -> None:
        """As it is now; a re-run of the same is of the same commit."""
        self._git("init", "-q", "-b", "main")
        self._git("config", "remote.origin.url", "https://github.com/team/ours")
        self._git("add", "-A", "-f")
        if self._git("status", "--porcelain"):
            self._git("-c", "user.name=a", "-c", "user.email=a@b.test", "commit", "-qm", "all")

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, check=True, env=self.environment(), capture_output=True, text=True
        )
        return done.stdout


def real(*, root: Path = ROOT, python: str = sys.executable) -> str:
    """Shell that becomes the real command line; its arguments follow."""
    return REAL.format(root=root, python=python)


def pins() -> list[str]:
    """Every action of the lock, as `uses:` names it."""
    lines = (ROOT / ".github" / "actions.lock").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [f"{name}@{commit}" for name, _, commit in rows]


def _of_environment(job: str) -> str:
    named = re.search(r"^    environment: (\w+)$", job, re.MULTILINE)
    if not named:
        return job
    return re.sub(r"(vars\.SLIPWAY_LOAD_(?:URL|CA)|secrets\.SLIPWAY_LOAD_TOKEN)\b", rf"\1_{named[1].upper()}", job)


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def write_leak(repository: Path, secret: str) -> None:
    """Put a workflow `leak` there that prints a secret, by the secret's name."""
    (repository / ".github" / "workflows" / "leak.yml").write_text(_LEAK.format(secret=secret))
