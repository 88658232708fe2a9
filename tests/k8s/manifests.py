"""Plain manifests of the chart for people without Helm: ``python -m tests.k8s.manifests``, or ``--check``.

- ``standalone``: a Deployment, with ``kubectl apply -k``;
- ``sidecar``: a Kustomize component, which adds the exporter to every Deployment labelled for it;
- ``monitoring``: a PodMonitor and the alerts, where the Prometheus operator is.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.k8s import helm
from tests.k8s.golden import documents, dump
from tests.k8s.image_tools import ROOT

FOLDER = ROOT / "helm" / "manifests"

LABEL = "river-exporter/sidecar=true"
"""Which Deployments the component adds the exporter to."""

SECRET = "river-exporter-database"
"""A Secret with the key url."""

HEADER = "# Made from the chart by `make manifests`.\n"


def outputs() -> Mapping[Path, str]:
    """Return the text of every file, by its path."""
    secret = ("--set", f"database.urlSecret.name={SECRET}", "--set", "doctor.enabled=false")
    alone = _objects(_render(*secret))
    sidecar = _objects(_render(*secret, "--set", "mode=sidecar,podMonitor.enabled=true,prometheusRule.enabled=true"))
    made = {
        "standalone": {kind: alone[kind] for kind in ("ServiceAccount", "ConfigMap", "Deployment")},
        "sidecar": {"ConfigMap": sidecar["ConfigMap"]},
        "monitoring": {kind: sidecar[kind] for kind in ("PodMonitor", "PrometheusRule")},
    }
    files: dict[Path, str] = {}
    for folder, objects in made.items():
        names = {kind: f"{kind.lower()}.yaml" for kind in objects}
        component = folder == "sidecar"
        kustomization: dict[str, Any] = {
            "apiVersion": f"kustomize.config.k8s.io/v1{'alpha1' if component else 'beta1'}",
            "kind": "Component" if component else "Kustomization",
            "resources": list(names.values()),
        }
        if component:
            kustomization["patches"] = [
                {"path": "patch.yaml", "target": {"kind": "Deployment", "labelSelector": LABEL}}
            ]
            files[FOLDER / folder / "patch.yaml"] = _dump(_patch())
        files[FOLDER / folder / "kustomization.yaml"] = _dump(kustomization)
        files |= {FOLDER / folder / names[kind]: _dump(each) for kind, each in objects.items()}
    return files


def _render(*options: str) -> str:
    folder = Path(tempfile.gettempdir())
    return helm.helm(helm.helm_3(), "template", "river-exporter", helm.CHART, *options, home=folder)


def _objects(text: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a rendered chart by kind, without what only Helm knows."""
    found = {}
    for _, each in documents(text):
        _forget_helm(each["metadata"])
        if "template" in each.get("spec", {}):
            _forget_helm(each["spec"]["template"]["metadata"])
        found[each["kind"]] = each
    return found


def _forget_helm(metadata: dict[str, Any]) -> None:
    metadata.pop("namespace", None)
    for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
        metadata["labels"].pop(label, None)


def _patch() -> dict[str, Any]:
    """Return what the example application's pod has of the exporter, as a patch of any Deployment."""
    with tempfile.TemporaryDirectory() as folder:
        chart = helm.example_chart(Path(folder))
        names = ("--set", f"river-exporter.database.urlSecret.name={SECRET}")
        full = ("--set", "river-exporter.fullnameOverride=river-exporter")
        objects = _objects(helm.template(helm.helm_3(), (), *names, *full, chart=chart))
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "any"},
        "spec": {"template": {"spec": {name: pod[name] for name in ("initContainers", "volumes")}}},
    }


def _dump(value: dict[str, Any]) -> str:
    return HEADER + dump(value)


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` name those that are not current; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in outputs().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        shown = path.relative_to(ROOT)
        if check:
            print(f"{shown} is not current: run `make manifests`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(shown)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
