"""Every object that the chart can render, put before a real API server: strict validation, `restricted`, no warning."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.k8s import helm
from tests.k8s.golden import documents, golden, reviewed
from tests.k8s.image_tools import ROOT
from tests.k8s.kubernetes import Cluster, KubectlFailed
from tests.k8s.manifests import FOLDER

pytestmark = pytest.mark.timeout(1200)

VALUES = helm.VALUE_FILES


@pytest.fixture(scope="module", autouse=True)
def namespaces(cluster: Cluster) -> None:
    """Make the namespaces that the value files name."""
    for name in ("apps", "grafana", "jobs", "monitoring"):
        cluster.namespace(name)


def dry_run(cluster: Cluster, text: str) -> None:
    """Have the server check objects as if they were applied; pods of Deployments and Jobs as pods, too."""
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    for _, each in documents(text):
        if each["kind"] in ("Deployment", "Job"):
            template = each["spec"]["template"]
            template["spec"].pop("serviceAccountName", None)  # it was not really made
            pod = {"apiVersion": "v1", "kind": "Pod", **template}
            pod["metadata"]["name"] = "template"
            cluster.kubectl("create", "-n", "apps", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_server_takes_what_value_files_render(cluster: Cluster, values: Path) -> None:
    """Each object is valid, fit for `restricted`, and draws no warning."""
    dry_run(cluster, helm.template(helm.helm_3(), [values]))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_4_renders_the_same(values: Path) -> None:
    """Both majors of Helm give the golden output, and neither linter has anything to say."""
    assert golden(values, helm.helm_4()) == reviewed(values).read_text()
    helm.helm(helm.helm_4(), "lint", "--strict", helm.CHART, "--values", values)


@pytest.mark.parametrize("program", [helm.helm_3, helm.helm_4], ids=["helm 3", "helm 4"])
def test_the_server_takes_the_example_application(cluster: Cluster, tmp_path: Path, program: object) -> None:
    """A River application with the sidecar and everything around it."""
    assert callable(program)
    text = helm.template(program(), (), "--kube-version", "1.37.2", chart=helm.example_chart(tmp_path))
    dry_run(cluster, text)


@pytest.mark.parametrize("program", [helm.helm_3, helm.helm_4], ids=["helm 3", "helm 4"])
def test_the_server_takes_an_application_for_older_clusters(
    cluster: Cluster, tmp_path: Path, program: Callable[[], Path]
) -> None:
    """The same with the exporter among the containers, rendered for a cluster before 1.29."""
    text = helm.template(program(), (), "--kube-version", "1.28.0", chart=helm.container_chart(tmp_path))
    (deployment,) = [each for _, each in documents(text) if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["river-exporter", "river"]
    assert "initContainers" not in pod
    dry_run(cluster, text)


@pytest.mark.parametrize("wrong", ["config.river.timeout=7", "config.river.tiemout=10s", "port=http", "nonsense=1"])
def test_helm_4_names_the_path_of_a_wrong_value_too(wrong: str) -> None:
    """Its validator is another one, and words it differently."""
    with pytest.raises(helm.HelmFailed) as caught:
        helm.template(helm.helm_4(), (), "--set", wrong)
    message = str(caught.value).replace("/", ".")
    assert wrong.partition("=")[0].rpartition(".")[0] in message
    assert wrong.partition("=")[0].rpartition(".")[2] in message


def kustomize(cluster: Cluster, folder: Path) -> str:
    """Return what a folder's kustomization makes."""
    return cluster.kubectl("kustomize", folder, "--load-restrictor=LoadRestrictionsNone")


@pytest.mark.parametrize("name", ["standalone", "monitoring"])
def test_the_server_takes_the_plain_manifests(cluster: Cluster, name: str) -> None:
    """`kubectl apply -k`, without Helm."""
    dry_run(cluster, kustomize(cluster, FOLDER / name))


def test_the_server_takes_the_example_overlay(cluster: Cluster) -> None:
    """The overlay of the examples: the sidecar with its image and configuration changed, the labels, the namespace."""
    text = kustomize(cluster, ROOT / "examples" / "kustomize")
    found = {each["kind"]: each for _, each in documents(text)}
    (sidecar,) = found["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["image"].startswith("registry.example.com/mirror/river-exporter:")
    assert "metrics_urls" in found["ConfigMap"]["data"]["exporter.yaml"]
    assert {found[kind]["metadata"]["labels"]["release"] for kind in ("PodMonitor", "PrometheusRule")} == {
        "kube-prometheus-stack"
    }
    assert {each["metadata"]["namespace"] for each in found.values()} == {"apps"}
    dry_run(cluster, text)


def test_the_component_adds_the_sidecar_to_labelled_deployments(cluster: Cluster, tmp_path: Path) -> None:
    """Those that have an init container keep it; those without the label stay as they are."""
    wanted, other = application("wanted"), application("other")
    wanted["metadata"]["labels"] = {"river-exporter/sidecar": "true"}
    (tmp_path / "apps.yaml").write_text(yaml.safe_dump_all([wanted, other]))
    kustomization = {"resources": ["apps.yaml"], "components": [str(FOLDER / "sidecar")]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization).replace(str(FOLDER), relative(tmp_path)))
    text = kustomize(cluster, tmp_path)
    found = {each["metadata"]["name"]: each for _, each in documents(text) if each["kind"] == "Deployment"}
    assert found["other"] == other
    pod = found["wanted"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["river-exporter", "first"]
    assert {volume["name"] for volume in pod["volumes"]} == {"river-exporter-config", "river-exporter-database", "own"}
    dry_run(cluster, text)


def relative(folder: Path) -> str:
    """Return the manifests' folder as seen from another one: Kustomize takes no absolute paths."""
    return "/".join([".."] * (len(folder.resolve().parts) - 1)) + str(FOLDER)


def application(name: str) -> dict[str, dict[str, object]]:
    """Return a Deployment with an init container and a volume of its own."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    one = {"image": "registry.example.com/river-app:1.0.0", "securityContext": restricted}
    spec = {
        "containers": [{"name": "river", **one}],
        "initContainers": [{"name": "first", **one}],
        "volumes": [{"name": "own", "emptyDir": {}}],
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",  # type: ignore[dict-item]
        "kind": "Deployment",  # type: ignore[dict-item]
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def test_the_server_would_have_refused_a_wrong_object(cluster: Cluster) -> None:
    """The checks above can fail: a wrong field and a privileged pod are refused."""
    text = (FOLDER / "standalone" / "deployment.yaml").read_text()
    with pytest.raises(KubectlFailed, match="unknown field"):
        dry_run(cluster, text.replace("revisionHistoryLimit", "revisionHistory"))
    with pytest.raises(KubectlFailed, match="PodSecurity"):
        dry_run(cluster, text.replace("runAsNonRoot: true", "runAsNonRoot: false"))


def test_every_kind_of_object_was_checked() -> None:
    """No template is left out of the value files."""
    kinds = set()
    for values in VALUES:
        kinds |= {each["kind"] for _, each in documents(helm.template(helm.helm_3(), [values]))}
    templates = [path for path in (ROOT / "helm/river-exporter/templates").rglob("*.yaml") if path.stem != "extra"]
    named = {line.split()[1] for path in templates for line in path.read_text().splitlines() if line[:5] == "kind:"}
    assert named <= kinds
    assert len(named) >= 12
