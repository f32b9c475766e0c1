"""Running the three projects with the Pulumi CLI that the toolchain built.

The same can be done by hand: `eval "$(slipway env)"`, then `pulumi preview|up|destroy` in a project's folder.
"""

import os
import re
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from pulumi import automation

from infra import stranded
from infra.naming import Project, cluster_name

ROOT = Path(__file__).resolve().parent
REPOSITORY = ROOT.parent
KUBERNETES_PLUGIN_VERSION = "4.25.0"
MOST_LINES = 25
MOST_CHARACTERS = 2000
_LEFT_BEHIND = 24 * 3600.0  # seconds: no run is that long
# The library warns of a stream of events that was cut off. Who interrupted a run knows; a run that failed is an error.
warnings.filterwarnings("ignore", "Error in event stream", module=r"pulumi\.automation\.")

OnEvent = Callable[[automation.EngineEvent], None]


class EngineError(Exception):
    """Pulumi said no; the message is its own, with what to do next."""


@final
@dataclass(frozen=True)
class Place:
    """Where state lies and which programs run.

    Args:
        home: folder with `pulumi` and the Python language host.
        state: folder of the state, the passphrase and the plug-ins; the user's alone.
        backend: address of the state backend; a folder below `state` by default.
    """

    home: Path
    state: Path
    backend: str | None = None

    @property
    def passphrase_file(self) -> Path:
        """Encrypts secrets in the state; readable by the user alone."""
        return self.state / "passphrase"

    @property
    def stacks(self) -> Path:
        """The file backend."""
        return self.state / "stacks"

    @property
    def scratch(self) -> Path:
        """Temporary files of Pulumi's programs, for the owner alone."""
        return self.state / "tmp"

    def environment(self) -> dict[str, str]:
        """What `pulumi` needs to find everything (docs/how-to/pulumi.md)."""
        # The language host takes the first `python` on PATH: that of the locked environment.
        path = os.pathsep.join([str(Path(sys.executable).parent), str(self.home), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "PULUMI_HOME": str(self.state / "home"),
            "PULUMI_BACKEND_URL": self.backend or f"file://{self.stacks}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase_file),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_PYTHON_CMD": sys.executable,
            # What a stack says of an object holds, whoever has changed it by hand since (ADR 135).
            "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
            # The Kubernetes provider leaves a kubeconfig in the folder for temporary files at each run.
            "TMPDIR": str(self.scratch),
        }

    def prepare(self, kubernetes_plugin: Path | None) -> None:
        """Make the folders, the passphrase and, if given, the Kubernetes plug-in."""
        for folder in (self.state, self.state / "home", self.stacks, self.scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self.scratch.glob("kubeconfig*"):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                left.unlink(missing_ok=True)
        self._without_log()
        if not self.passphrase_file.exists():
            descriptor = os.open(self.passphrase_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
        if kubernetes_plugin:
            self._install_plugin(kubernetes_plugin)

    def _without_log(self) -> None:
        """Keep Pulumi from writing its automatic log (ADR 8): a file stands where it wants a folder."""
        logs = self.state / "home" / "logs"
        if logs.is_dir():
            shutil.rmtree(logs)
        logs.touch(mode=0o400)

    def has_plugin(self, name: str, version: str) -> bool:
        """Whether a provider's plug-in is there: in Pulumi's folder, or on PATH in whatever version."""
        program = f"pulumi-resource-{name}"
        installed = self.state / "home" / "plugins" / f"resource-{name}-v{version}" / program
        return installed.exists() or shutil.which(program, path=self.environment()["PATH"]) is not None

    def _install_plugin(self, binary: Path) -> None:
        """Link the provider into Pulumi's plug-in folder: found on PATH it would warn at every run."""
        folder = self.state / "home" / "plugins" / f"resource-kubernetes-v{KUBERNETES_PLUGIN_VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "pulumi-resource-kubernetes"
        if not link.is_symlink() or link.readlink() != binary:
            link.unlink(missing_ok=True)
            link.symlink_to(binary)


@final
class Engine:
    """The three projects on one state backend.

    Args:
        place: programs and state; prepared.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._environment = place.environment()
        # The library finds the CLI on this process's PATH.
        os.environ["PATH"] = self._environment["PATH"]

    def up(
        self,
        project: Project,
        stack: str,
        config: Mapping[str, str],
        on_event: OnEvent,
        *,
        refresh: bool = False,
        anew: Sequence[str] = (),
    ) -> Mapping[str, Any]:
        """Bring a stack up.

        Args:
            project: which.
            stack: its stack, made if there is none.
            config: settings, without the project's name before the key.
            on_event: told of every step.
            refresh: ask the cluster how things are, instead of trusting the state.
            anew: URNs of resources to replace although nothing about them has changed.

        Returns:
            The stack's outputs in plain text; keep them out of logs.

        Raises:
            EngineError: it failed.
        """
        with _told(project):
            it = self._stack(project, stack)
            for key, value in config.items():
                it.set_config(f"{project.value}:{key}", automation.ConfigValue(value))
            result = it.up(
                on_event=on_event, on_output=_silent, color="never", refresh=refresh, replace=list(anew) or None
            )
        return {key: output.value for key, output in result.outputs.items()}

    def settings(self, project: Project, stack: str) -> Mapping[str, str]:
        """What a stack has set, by key without the project's name; none if there is no such stack.

        Secret ones are in plain text: keep them out of logs.
        """
        if stack not in self.stacks(project):
            return {}
        with _told(project):
            found = self._stack(project, stack).get_all_config()
        prefix = f"{project.value}:"
        return {key.removeprefix(prefix): it.value for key, it in found.items() if key.startswith(prefix)}

    def outputs(self, project: Project, stack: str) -> Mapping[str, Any]:
        """A stack's outputs in plain text; none if there is no such stack."""
        if stack not in self.stacks(project):
            return {}
        with _told(project):
            return {key: output.value for key, output in self._stack(project, stack).outputs().items()}

    def resources(self, project: Project, stack: str) -> Sequence[Mapping[str, Any]]:
        """All that a stack's state holds, also after an `up` that failed; none if there is no such stack.

        Secrets are in plain text, each in an object of its own: keep them out of logs.
        """
        if stack not in self.stacks(project):
            return ()
        with _told(project):
            state = self._stack(project, stack).export_stack().deployment or {}
        return tuple(state.get("resources") or ())

    def types(self, project: Project, stack: str) -> frozenset[str]:
        """Types of all that a stack's state holds."""
        return frozenset(str(it["type"]) for it in self.resources(project, stack))

    def unchanged(self, project: Project, stack: str) -> bool:
        """Whether a preview would change nothing."""
        return all(kind in ("same", "read") for kind, count in self.preview(project, stack).items() if count)

    def preview(self, project: Project, stack: str, *, refresh: bool = False) -> Mapping[str, int]:
        """What `up` would do: operation -> how many resources. Neither the cluster nor the state is changed.

        Args:
            project: which.
            stack: its stack.
            refresh: compare with the cluster as it is, not with the state.
        """
        with _told(project):
            found = self._stack(project, stack).preview(on_output=_silent, color="never", refresh=refresh)
        # Declared as an enumeration of texts, given as plain ones: the text itself is right for both.
        return {str.__str__(kind): count for kind, count in found.change_summary.items()}

    def destroy(self, project: Project, stack: str, on_event: OnEvent) -> None:
        """Destroy what a stack made; `forget` then drops it."""
        with _told(project):
            self._stack(project, stack).destroy(on_event=on_event, on_output=_silent, color="never")

    def forget(self, project: Project, stack: str, *, keep_settings: bool = False) -> None:
        """Drop a stack's state without asking the cluster, which may be gone; unlocks it first.

        Args:
            project: which.
            stack: its stack.
            keep_settings: leave the file with what it has set for an `up` after this.
        """
        if stack not in self.stacks(project):
            return
        with _told(project):
            self._stack(project, stack).cancel()
            self._workspace(project).remove_stack(stack, force=True, preserve_config=keep_settings)

    def stacks(self, project: Project) -> list[str]:
        """The stacks of a project."""
        with _told(project):
            return [it.name for it in self._workspace(project).list_stacks()]

    def stacks_of(self, cluster: str) -> Iterator[tuple[Project, str]]:
        """Every stack of a cluster, the last made first."""
        for stack in self.stacks(Project.SERVICE):
            if stack.rpartition("-")[0] == cluster:
                yield Project.SERVICE, stack
        for project in (Project.PLATFORM, Project.CLUSTER):
            if cluster_name(cluster) in self.stacks(project):
                yield project, cluster

    def _stack(self, project: Project, stack: str) -> automation.Stack:
        if not self._place.backend:
            stranded.release(self._place.stacks, project.value, stack)
        return automation.create_or_select_stack(stack, work_dir=str(folder(project)), opts=self._options(project))

    def _workspace(self, project: Project) -> automation.LocalWorkspace:
        return automation.LocalWorkspace(
            work_dir=str(folder(project)), env_vars=self._environment, pulumi_home=self._environment["PULUMI_HOME"]
        )

    def _options(self, project: Project) -> automation.LocalWorkspaceOptions:
        return automation.LocalWorkspaceOptions(
            work_dir=str(folder(project)), env_vars=self._environment, pulumi_home=self._environment["PULUMI_HOME"]
        )


def folder(project: Project) -> Path:
    """Where a project's program lies."""
    return ROOT / "projects" / project.value.removeprefix("slipway-")


def _silent(_text: str) -> None:
    """Pulumi's own lines are left out: the events tell more."""


@contextmanager
def _told(project: Project) -> Generator[None]:
    """Turn the library's errors into ones that say what to do."""
    try:
        yield
    except automation.ConcurrentUpdateError:
        raise EngineError(
            f"another run holds the state of {project.value}; wait for it, or if it has died run `pulumi cancel` in "
            f"{folder(project)}"
        ) from None
    except automation.CommandError as error:
        reason = _reason(str(error))
        if "incorrect passphrase" in reason:
            reason += (
                f"\nA file Pulumi.*.yaml in {folder(project)} was made with another passphrase: give that one by "
                "PULUMI_CONFIG_PASSPHRASE_FILE, or remove the file if its state is gone"
            )
        raise EngineError(reason) from None


def _reason(text: str) -> str:
    """The part of a failed command's output that tells why: Pulumi's diagnostics, else the lines with errors."""
    _, found, diagnostics = text.partition("Diagnostics:\n")
    if found:
        lines = [line for line in re.split(r"\n(?:Resources|Outputs):", diagnostics)[0].splitlines() if line.strip()]
    else:
        lines = [line.strip() for line in text.splitlines() if "error:" in line]
    return "\n".join(lines[-MOST_LINES:]) or text[-MOST_CHARACTERS:]
