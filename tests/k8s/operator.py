"""What the Prometheus operator makes of its objects: scrape jobs for a Prometheus with real service discovery.

The relabelling is that of the operator's documentation ("PodMonitor", "ServiceMonitor" in its API reference): a target
is a container's port of the selected pods, and gets the labels namespace, pod, container, endpoint and job.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.cache import go_build


def scrape_job(monitor: dict[str, Any], kubeconfig: Path) -> dict[str, Any]:
    """Return the scrape job of the first endpoint of a PodMonitor or a ServiceMonitor."""
    pods = monitor["kind"] == "PodMonitor"
    spec, name = monitor["spec"], monitor["metadata"]["name"]
    namespace = monitor["metadata"]["namespace"]
    endpoint = (spec["podMetricsEndpoints"] if pods else spec["endpoints"])[0]
    labelled = "pod_label" if pods else "service_label"
    port = "pod_container_port_name" if pods else "endpointslice_port_name"
    relabelings = [
        *([{"action": "drop", "source_labels": [_meta("pod_phase")], "regex": "(Failed|Succeeded)"}] if pods else []),
        *(
            {"action": "keep", "source_labels": [_meta(f"{labelled}_{_sane(label)}")], "regex": re.escape(value)}
            for label, value in spec["selector"].get("matchLabels", {}).items()
        ),
        {"action": "keep", "source_labels": [_meta(port)], "regex": endpoint["port"]},
        *(
            {"source_labels": [_meta(source)], "target_label": target}
            for source, target in (("namespace", "namespace"), ("pod_name", "pod"), ("pod_container_name", "container"))
        ),
        {"target_label": "job", "replacement": f"{namespace}/{name}"},
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    selected = spec.get("namespaceSelector", {})
    names = [] if selected.get("any") else selected.get("matchNames", [namespace])
    return {
        "job_name": f"{monitor['kind']}/{namespace}/{name}",
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "kubernetes_sd_configs": [
            {
                "role": "pod" if pods else "endpointslice",
                "kubeconfig_file": str(kubeconfig),
                "namespaces": {"names": names},
            }
        ],
        "relabel_configs": relabelings,
    }


def prometheus() -> Path:
    """Return a Prometheus 3 that finds targets in Kubernetes: Debian's is built without that. Built once."""
    package = "github.com/prometheus/prometheus/cmd/prometheus"
    tags = ["remove_all_sd", "enable_kubernetes_sd"]
    return go_build(Path(__file__).parent / "prometheus", "prometheus", tags=tags, package=package)


def _meta(name: str) -> str:
    return f"__meta_kubernetes_{name}"


def _sane(label: str) -> str:
    """Return a label's name as Prometheus' service discovery writes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def configuration(jobs: list[dict[str, Any]], rules: dict[str, Any] | None, folder: Path) -> Path:
    """Write a Prometheus configuration of these jobs and of a PrometheusRule, and return its path."""
    files = []
    if rules is not None:
        files = [str(folder / "rules.yaml")]
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules["spec"], sort_keys=False))
    document = {"global": {"evaluation_interval": "10s"}, "rule_files": files, "scrape_configs": jobs}
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path
