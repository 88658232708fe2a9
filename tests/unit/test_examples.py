"""The examples fit the project and each other: what is not run here is checked by the program that would read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s import helm
from tests.k8s.golden import documents

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def stack_value(*path: str) -> Any:
    """Return a value of the example's kube-prometheus-stack."""
    value: Any = yaml.safe_load((EXAMPLES / "kube-prometheus-stack" / "stack.yaml").read_text())
    for key in path:
        value = value[key]
    return value


@pytest.fixture(scope="module")
def beside_the_stack() -> list[dict[str, Any]]:
    """Return the objects of river-exporter beside kube-prometheus-stack."""
    return [each for _, each in documents(helm.template(helm.helm_3(), [helm.STACK]))]


def selected(objects: list[dict[str, Any]], kind: str, selector: dict[str, Any]) -> list[str]:
    """Return the names of the objects of a kind that a selector's `matchLabels` select."""
    wanted = selector["matchLabels"].items()
    assert wanted, "an empty selector would select everything"
    return [
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == kind and wanted <= each["metadata"]["labels"].items()
    ]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("PodMonitor", ("prometheus", "prometheusSpec", "podMonitorSelector")),
        ("PrometheusRule", ("prometheus", "prometheusSpec", "ruleSelector")),
        ("AlertmanagerConfig", ("alertmanager", "alertmanagerSpec", "alertmanagerConfigSelector")),
    ],
)
def test_kube_prometheus_stack_selects_it(
    kind: str, path: tuple[str, ...], beside_the_stack: list[dict[str, Any]]
) -> None:
    """Each selector of the stack's example finds the object, and would not without the example's labels."""
    assert selected(beside_the_stack, kind, stack_value(*path)) == ["monitor-river-exporter"]
    switches = ",".join(f"{name}.enabled=true" for name in ("podMonitor", "prometheusRule", "alertmanagerConfig"))
    bare = [each for _, each in documents(helm.template(helm.helm_3(), (), "--set", switches))]
    assert kind in {each["kind"] for each in bare}
    assert selected(bare, kind, stack_value(*path)) == []


def test_a_stack_of_another_name_would_not_find_it(beside_the_stack: list[dict[str, Any]]) -> None:
    """The label is the release's name: the examples of both charts have the same one."""
    assert selected(beside_the_stack, "PodMonitor", {"matchLabels": {"release": "prometheus"}}) == []


def test_grafanas_sidecar_loads_every_dashboard_into_its_folder(beside_the_stack: list[dict[str, Any]]) -> None:
    """By the label it looks for and the annotation it takes the folder from."""
    sidecar = stack_value("grafana", "sidecar", "dashboards")
    assert sidecar["enabled"] is True
    assert sidecar["provider"]["foldersFromFilesStructure"] is True
    found: dict[str, str] = {}
    for each in beside_the_stack:
        if each["metadata"]["labels"].get(sidecar["label"]) == sidecar["labelValue"]:
            assert each["metadata"]["annotations"][sidecar["folderAnnotation"]] == "River"
            found |= each["data"]
    assert set(found) == {path.name for path in (ROOT / "dashboards").glob("*.json")}
    assert len(found) >= 5
    assert all(json.loads(text)["uid"] for text in found.values())


def test_routes_reach_rivers_alerts(beside_the_stack: list[dict[str, Any]]) -> None:
    """With `OnNamespace` a route takes alerts of its own namespace: that of the pods, where the PodMonitor looks."""
    assert stack_value("alertmanager", "alertmanagerSpec", "alertmanagerConfigMatcherStrategy") == {
        "type": "OnNamespace"
    }
    by_kind = {each["kind"]: each for each in beside_the_stack}
    (namespace,) = {
        by_kind[kind]["metadata"]["namespace"] for kind in ("AlertmanagerConfig", "PodMonitor", "Deployment")
    }
    assert namespace == "apps"
    assert "namespaceSelector" not in by_kind["PodMonitor"]["spec"]
    receivers = {each["name"]: each for each in by_kind["AlertmanagerConfig"]["spec"]["receivers"]}
    assert all(len(each) > 1 for each in receivers.values()), "a receiver that sends nothing"
