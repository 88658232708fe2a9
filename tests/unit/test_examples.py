"""The examples fit the project and each other: what is not run here is checked by the program that would read it."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from exporter import __version__
from exporter.config import keys, load, variable
from tests.k8s import helm
from tests.k8s.golden import documents
from tests.k8s.manifests import LABEL
from tests.testbed.cache import run
from tests.testbed.debian import debian_program, environment
from tests.testbed.prometheus import amtool, promtool
from tests.testbed.river_source import module

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


COMPOSE = EXAMPLES / "compose"

SPECIFICATION = ("github.com/compose-spec/compose-go/v2", "v2.10.1")
"""The module that has the schema of compose files, as docker compose checks them."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the compose file."""
    loaded: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return loaded


def test_the_compose_file_fits_its_specification(compose: dict[str, Any]) -> None:
    """By the schema of the Compose Specification, which refuses a key that it does not know."""
    schema = json.loads((module(*SPECIFICATION) / "schema" / "compose-spec.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(compose)
    wrong = copy.deepcopy(compose)
    wrong["services"]["exporter"]["read_onyl"] = True
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(wrong)


def test_what_compose_mounts_and_builds_is_there(compose: dict[str, Any]) -> None:
    """Files, build folders, services waited for, and secrets, which `make-secrets` makes."""
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "role", "worker", "exporter", "prometheus", "alertmanager"}
    made = set(re.findall(r">(secrets/\S+)$", (COMPOSE / "make-secrets").read_text(), re.MULTILINE))
    assert {secret["file"].removeprefix("./") for secret in compose["secrets"].values()} == made
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source, _, options = volume.split(":")
            assert (COMPOSE / source).is_file(), f"{name}: {source}"
            assert options == "ro"
        if build := service.get("build"):
            context = COMPOSE / build["context"]
            assert (context / "go.mod").is_file()
            assert (context / build["dockerfile"]).is_file()
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(services)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "open to the network"


def test_the_worker_of_compose_is_built_by_a_go_that_can(compose: dict[str, Any]) -> None:
    """The Go image is as new as go.mod wants, and the worker knows the flags."""
    wanted = re.search(r"^go (\d+\.\d+)", (ROOT / "tests/river_worker/go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    assert f"golang:{wanted[1]}-" in (COMPOSE / "worker.Dockerfile").read_text()
    known = set(re.findall(r'flags\.\w+\(&?[\w.]+, "([\w-]+)"', (ROOT / "tests/river_worker/options.go").read_text()))
    for name in ("migrate", "worker"):
        flags = {word.removeprefix("--").partition("=")[0] for word in compose["services"][name]["command"]}
        assert flags
        assert flags <= known


def test_the_exporter_of_compose_is_configured_by_variables_it_has(compose: dict[str, Any]) -> None:
    """Each is one of a key; the image is that of this version; the worker's metrics are where it is told to look."""
    exporter = compose["services"]["exporter"]
    variables = {variable(key) for key in keys()}
    assert set(exporter["environment"]) <= variables
    assert exporter["image"] == f"ghcr.io/river-exporter/river-exporter:{__version__}"
    assert exporter["environment"]["RIVER_EXPORTER_RIVER_METRICS_URLS"] == "http://worker:9090/metrics"
    assert "--metrics-address=:9090" in compose["services"]["worker"]["command"]
    secret = exporter["environment"]["RIVER_EXPORTER_DATABASE_PASSWORD_FILE"]
    assert Path(secret).name in exporter["secrets"]


def test_prometheus_and_alertmanager_take_the_files_of_compose(tmp_path: Path) -> None:
    """By promtool, with the alerts beside it, and by amtool; they reach the services by their names and ports."""
    text = (COMPOSE / "prometheus.yaml").read_text()
    (tmp_path / "prometheus.yaml").write_text(text)
    (tmp_path / "alerts.yaml").write_text((ROOT / "config" / "alerts.yaml").read_text())
    run([promtool(), "check", "config", "--lint-fatal", tmp_path / "prometheus.yaml"], "promtool", "read what it says")
    run([amtool(), "check-config", COMPOSE / "alertmanager.yaml"], "amtool", "read what it says")
    assert re.findall(r"targets: \[\"(.+)\"\]", text) == ["alertmanager:9093", "exporter:10917"]


def test_compose_routes_as_the_project_does() -> None:
    """Only what is sent differs: nothing is."""
    ours = yaml.safe_load((ROOT / "config" / "alertmanager.yaml").read_text())
    theirs = yaml.safe_load((COMPOSE / "alertmanager.yaml").read_text())
    assert [set(each) for each in theirs.pop("receivers")] == [{"name"}] * len(ours.pop("receivers"))
    assert theirs == ours


def test_make_secrets_makes_them_once(tmp_path: Path) -> None:
    """The passwords agree, no two are the same, and a second run keeps them."""
    script = tmp_path / "make-secrets"
    script.write_text((COMPOSE / "make-secrets").read_text())
    script.chmod(0o755)
    seen = []
    for _ in range(2):
        subprocess.run([script], check=True)
        seen.append({path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()})
    first, second = seen
    assert first == second
    assert first["app-passfile"] == f"postgres:5432:app:app:{first['app-password']}"
    assert re.fullmatch(r"[0-9a-f]{48}", first["exporter-password"])
    assert first["exporter-password"] != first["app-password"]


UNIT = EXAMPLES / "systemd" / "river-exporter.service"

EXPOSURE = 15
"""Tenths of systemd's exposure level, of which 100 is the worst, that the unit stays below."""


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    """`systemd-analyze` verifies it without a word and rates its sandbox; a misspelt key and an open unit fail."""
    analyze = debian_program("systemd", ["systemd-analyze"], (250,), (300,))

    def judge(text: str) -> tuple[str, int]:
        unit = tmp_path / UNIT.name
        unit.write_text(text.replace("/usr/local/bin/river-exporter", "/bin/true"))
        verify: list[str | Path] = ["verify", unit]
        rate = ["security", "--no-pager", "--offline=yes", f"--threshold={EXPOSURE}", unit]
        said, rated = (
            subprocess.run([analyze, *words], capture_output=True, text=True, check=False, env=environment(analyze))
            for words in (verify, rate)
        )
        return said.stderr, rated.returncode

    text = UNIT.read_text()
    assert judge(text) == ("", 0)
    assert "Unknown key" in judge(text.replace("ProtectHome=", "ProtectHouse="))[0]
    assert judge(re.sub(r"(?m)^(Protect|Restrict|Private)\w+=.*$", "", text))[1] != 0


def test_the_unit_uses_variables_and_flags_the_exporter_has() -> None:
    """The URL comes as a credential, never in the unit itself."""
    text = UNIT.read_text()
    variables = re.findall(r"^Environment=(RIVER_EXPORTER_\w+)=%d/([\w-]+)$", text, re.MULTILINE)
    assert variables == [(variable("database.url_file"), "database-url")]
    assert re.search(r"^LoadCredential=database-url:/", text, re.MULTILINE)
    assert "://" not in re.sub(r"(?m)^(#.*|Documentation=.*)$", "", text)


def test_the_overlay_of_kustomize_names_what_there_is() -> None:
    """Its folders and files are there, its patch is of the component's ConfigMap, its Deployment has the label.

    Kustomize itself builds it in tests/k8s/cluster_objects.py.
    """
    folder = EXAMPLES / "kustomize"
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text())
    patches = [each["path"] for each in overlay["patches"] if "path" in each]
    for name in [*overlay["resources"], *overlay["components"], *patches]:
        assert (folder / name).exists(), name
    patched, own = (yaml.safe_load((folder / name).read_text()) for name in (*patches, "deployment.yaml"))
    component = yaml.safe_load((ROOT / "helm/manifests/sidecar/configmap.yaml").read_text())
    assert patched["metadata"]["name"] == component["metadata"]["name"]
    assert set(patched["data"]) == set(component["data"])
    assert "=".join(*own["metadata"]["labels"].items()) == LABEL
    assert overlay["images"][0]["name"] in (ROOT / "helm/manifests/sidecar/patch.yaml").read_text()


@pytest.mark.parametrize("path", ["systemd/exporter.yaml", "kustomize/exporter.yaml"])
def test_the_configurations_are_ones_the_exporter_takes(path: str, tmp_path: Path) -> None:
    """By its own check, with every key known."""
    loaded = yaml.safe_load((EXAMPLES / path).read_text())
    text = loaded["data"]["exporter.yaml"] if "data" in loaded else yaml.safe_dump(loaded)
    (tmp_path / "exporter.yaml").write_text(text)
    config = load(tmp_path / "exporter.yaml", {})
    assert config.river.metrics_urls == ("http://127.0.0.1:9090/metrics",)
