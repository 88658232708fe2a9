"""The one-node cluster from Python: up and down, kubectl, and this process inside its network."""

import ctypes
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import requests

from tests.testbed.cache import cache_dir
from tests.testbed.process import remove_folder, temporary_folder, wait_for

CLUSTER = Path(__file__).parent / "cluster"

NODE = "10.99.0.1"
"""Where pods reach a server of this process's network."""

_CLONE_NEWNET = 0x40000000


class KubectlFailed(Exception):  # noqa: N818 - reads as what a test is told
    """A command ended with an error, or printed a warning; the message is what it wrote on stderr."""


class Cluster:
    """A running cluster without images; a context manager."""

    def __init__(self) -> None:
        self._state = temporary_folder("k8s")
        self._machine = Path("/proc/thread-self/ns/net").open()  # noqa: SIM115 - kept as long as the cluster is
        self._environment = {**os.environ, "CLUSTER_STATE": str(self._state)}
        self.kubeconfig = self._state / "admin.kubeconfig"
        self.program = cache_dir() / "one-node-kubernetes" / "bin" / "kubectl"

    def __enter__(self) -> Self:
        try:
            self._cluster("up")
        except BaseException:
            self._cluster("down")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster("down")
        remove_folder(self._state)
        self._machine.close()

    def _cluster(self, *words: str) -> None:
        """Run the tool, its progress shown; raises CalledProcessError when it fails."""
        subprocess.run([CLUSTER, *words], env=self._environment, stdout=2, check=True)

    def load(self, *images: Path) -> None:
        """Import images, docker-archives."""
        self._cluster("import", *map(str, images))

    @contextmanager
    def network(self) -> Iterator[None]:
        """Put this thread, and what it starts, into the cluster's network, where pods have their addresses.

        Linux keeps a network namespace for each thread (setns(2)).
        """
        pid = (self._state / "init.pid").read_text().strip()
        with _inside(Path(f"/proc/{pid}/ns/net")):
            yield

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Put this thread back into the machine's network for a while, which leads to package registries."""
        with _inside(Path(f"/proc/self/fd/{self._machine.fileno()}")):
            yield

    def kubectl(self, *words: str | Path, stdin: str | None = None, warnings: bool = False) -> str:
        """Run kubectl as cluster-admin, inside `network`, and return its stdout.

        Args:
            words: its command line.
            stdin: what it reads.
            warnings: whether warnings of the server are let through.

        Raises:
            KubectlFailed: it failed, or the server warned.
        """
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, "--cache-dir", self._state / "kubectl-cache", *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or ("Warning:" in done.stderr and not warnings):
            raise KubectlFailed(done.stderr)
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """Return an object, or a list of them under ``items``."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def apply(self, text: str, namespace: str | None = None) -> None:
        """Apply manifests, strictly validated by the server, in their own namespaces or all in one."""
        place = ("-n", namespace) if namespace else ()
        self.kubectl("apply", *place, "--validate=strict", "--server-side", "-f", "-", stdin=text)

    def secret(self, namespace: str, name: str, **values: str) -> None:
        """Write a Secret, whether it is there or not; its values pass through no command line."""
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.apply(json.dumps(document), namespace)

    def namespace(self, name: str) -> None:
        """Make a namespace under the Pod Security Standard `restricted`, which also warns and audits."""
        prefix = "pod-security.kubernetes.io"
        labels = {f"{prefix}/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods that are not about to go."""
        found = self.get("pods", "-n", namespace, "-l", selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, namespace: str, selector: str, count: int, timeout: float = 60) -> list[dict[str, Any]]:
        """Wait until exactly that many pods are there, all of them ready, and return them."""

        def ready() -> list[dict[str, Any]] | None:
            found = self.pods(namespace, selector)
            return found if len(found) == count and all(map(is_ready, found)) else None

        return wait_for(ready, timeout, f"{count} ready pods of {selector}", interval=0.3)

    def logs(self, namespace: str, *words: str) -> str:
        """Return the log of a container."""
        return self.kubectl("logs", "-n", namespace, *words)


@contextmanager
def _inside(network: Path) -> Iterator[None]:
    """Be in a network namespace for a while."""
    with Path("/proc/thread-self/ns/net").open() as own, network.open() as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: entering a network namespace needs root")


def moment(text: str) -> float:
    """Return a time of Kubernetes as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready as its Service sees it."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the status of a container, be it a sidecar."""
    status = pod["status"]
    every = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    (found,) = [each for each in every if each["name"] == name]
    assert isinstance(found, dict)
    return found


def get(pod: dict[str, Any], path: str, timeout: float = 5) -> str | None:
    """Return what a pod's exporter answers; None when it does not answer with success within `timeout` seconds."""
    address = pod["status"].get("podIP")
    if address is None:
        return None
    try:
        answer = requests.get(f"http://{address}:10917{path}", timeout=timeout)
    except requests.RequestException:
        return None
    return answer.text if answer.ok else None


class Watched:
    """Every state of a pod that the API server tells of; a context manager."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        words = ["get", "pod", name, "-n", namespace, "--watch", "-o", "json"]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [cluster.program, "--kubeconfig", cluster.kubeconfig, *words], stdout=self._output
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._output.close()

    def states(self) -> list[dict[str, Any]]:
        """Return the states so far, in order."""
        self._output.seek(0)
        text = self._output.read()
        decoder, found, at = json.JSONDecoder(), [], 0
        while at < len(text.rstrip()):
            try:
                state, at = decoder.raw_decode(text, at)
            except ValueError:
                break  # the last one was cut off
            found.append(state)
            at += len(text[at:]) - len(text[at:].lstrip())
        return found


def process_of(pod: dict[str, Any]) -> Path:
    """Return the folder below /proc of a pod's exporter, which runs on this machine's kernel."""
    uid = pod["metadata"]["uid"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            groups, command = (process / "cgroup").read_text(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if uid in groups.replace("_", "-") and b"river-exporter" in command:
            return process
    raise AssertionError(f"no exporter runs in pod {pod['metadata']['name']}")
