"""The chart without a cluster: what it renders, what it refuses, and that it is current."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from config.source.render import GRAFANA
from exporter import __version__
from exporter.config import Config, load
from tests.k8s import helm
from tests.k8s.golden import documents, golden, reviewed
from tests.k8s.image_tools import ROOT
from tests.testbed.cache import run
from tests.testbed.prometheus import promtool

VALUES = helm.VALUE_FILES

WRONG = {
    # what is set, and what the message must name
    "mode=daemonset": "mode",
    "nonsense=1": "nonsense",
    "port=70000": "port",
    "port=http": "port",
    "replicaCount=-1": "replicaCount",
    "image.pullPolicy=Sometimes": "image.pullPolicy",
    "image.digest=sha256:1": "image.digest",
    "config.river.timeout=7": "config.river.timeout",
    "config.river.timeout=soon": "config.river.timeout",
    "config.river.tiemout=10s": "config.river",
    "config.collectors.jbos.enabled=true": "config.collectors",
    "config.thresholds.warning=11": "config.thresholds.warning",
    "config.limits.queues=0": "config.limits.queues",
    "config.log.level=loud": "config.log.level",
    "config.web.listen_address=:80": "config.web",
    "database.host=postgres://db": "database.host",
    "database.port=0": "database.port",
    "database.urlSecret=river-database": "database.urlSecret",
    "database.urlFile=relative": "database.urlFile",
    "database.parameters.password=x": "database.parameters",
    "podMonitor.interval=often": "podMonitor.interval",
    "serviceMonitor.scheme=ftp": "serviceMonitor.scheme",
    "prometheusRule.alerts.RiverNone.enabled=false": "prometheusRule.alerts",
    "prometheusRule.alerts.RiverQueueAgeing.thresholds.minutes=1": "prometheusRule.alerts.RiverQueueAgeing.thresholds",
    "prometheusRule.alerts.RiverQueueAgeing.for=soon": "prometheusRule.alerts.RiverQueueAgeing.for",
    "alertmanagerConfig.critical.pager=x": "alertmanagerConfig.critical",
    "networkPolicy.databasePorts[0]=0": "networkPolicy.databasePorts.0",
    "podDisruptionBudget.maxUnavailable=some": "podDisruptionBudget.maxUnavailable",
    "extraArgs[0]=doctor": "extraArgs.0",
    "resources.limit.memory=1Mi": "resources",
}

CONFLICTING = {
    # what a schema cannot tell
    "database.host=a,database.urlFile=/b": "exclude each other",
    "database.passwordFile=/a,database.passwordSecret.name=b": "exclude each other",
    "database.host=a,config.database.url_file=/b": "both give an address",
    "config.database.url=postgres://u:secret@h/d": "holds a password",
    "mode=sidecar,networkPolicy.enabled=true": "cut off River",
    "mode=sidecar,serviceMonitor.enabled=true": "service.selector",
    "podDisruptionBudget.enabled=true": "replicaCount",
}


def test_there_are_enough_cases() -> None:
    """A folder that was moved away would make the tests below pass without testing anything."""
    assert len(VALUES) >= 12
    assert len(WRONG) >= 15


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_value_files_render_as_reviewed(values: Path) -> None:
    """Whoever changes the output sees it in the diff of the golden files."""
    assert golden(values, helm.helm_3()) == reviewed(values).read_text(), (
        "run: python -m tests.k8s.golden, and read the diff"
    )


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_value_files_pass_the_linter(values: Path) -> None:
    """Strictly: a warning fails."""
    helm.helm(helm.helm_3(), "lint", "--strict", "--quiet", helm.CHART, "--values", values)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_refused_by_its_path(wrong: str) -> None:
    """Before anything is installed, with the path of the value."""
    with pytest.raises(helm.HelmFailed) as caught:
        helm.template(helm.helm_3(), (), "--set", wrong)
    assert f"- {WRONG[wrong]}: " in str(caught.value) or f"Additional property {WRONG[wrong]} " in str(caught.value)


@pytest.mark.parametrize("wrong", CONFLICTING)
def test_values_that_conflict_are_refused_with_the_remedy(wrong: str) -> None:
    """The message says what to do; a password in it is not repeated."""
    with pytest.raises(helm.HelmFailed) as caught:
        helm.template(helm.helm_3(), (), "--set", wrong)
    assert CONFLICTING[wrong] in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_the_configuration_of_each_value_file_is_one_the_exporter_takes(tmp_path: Path) -> None:
    """What the chart writes into the ConfigMap passes the exporter's own check."""
    for values in VALUES:
        for _, each in documents(helm.template(helm.helm_3(), [values])):
            for name in {"exporter.yaml", "doctor.yaml"} & set(each.get("data") or {}):
                configuration(each, name, tmp_path)


def configuration(config_map: dict[str, Any], name: str, folder: Path) -> Config:
    """Return what the exporter reads in a file of a ConfigMap."""
    path = folder / name
    path.write_text(config_map["data"][name])
    return load(path, {})


def test_the_test_job_reads_what_it_can_reach(tmp_path: Path) -> None:
    """Addresses on the loopback of River's pod are left out for it; all else of its configuration is the exporter's."""
    for values, left in (
        ("sidecar", ()),
        ("doctor", ("http://localhost.example.com:9090/metrics",)),
        ("default", ()),
    ):
        (job,) = rendered("Job", values)
        (config_map,) = [each for each in rendered("ConfigMap", values) if "exporter.yaml" in each["data"]]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        (file,) = [word for word in container["args"] if word.startswith("--config.file=")]
        own = configuration(config_map, Path(file).name, tmp_path)
        exporter = configuration(config_map, "exporter.yaml", tmp_path)
        assert own.river.metrics_urls == left
        assert replace(own, river=replace(own.river, metrics_urls=exporter.river.metrics_urls)) == exporter
        assert len(exporter.river.metrics_urls) > len(left) or values == "default"


def test_generated_files_are_current() -> None:
    """The schema, the README and the copies of other files are those `make generate` makes."""
    run([sys.executable, "-m", "helm.generate", "--check"], "helm/generate.py", "run make generate", cwd=ROOT)


def test_the_versions_agree() -> None:
    """Chart, exporter and image have one version."""
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert f":{__version__}\n" in chart["annotations"]["artifacthub.io/images"]
    assert f"\n## {__version__}\n" in (helm.CHART / "CHANGELOG.md").read_text()


def keys(value: Any, prefix: str = "") -> set[str]:
    """Return the dotted keys of a mapping's leaves and sections."""
    found = set()
    for name, below in value.items():
        found |= {f"{prefix}{name}"} | (keys(below, f"{prefix}{name}.") if isinstance(below, dict) else set())
    return found


def test_every_value_is_in_the_schema_and_the_readme() -> None:
    """No value goes unchecked or undescribed."""
    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    readme = (helm.CHART / "README.md").read_text()
    sections = {name for name, value in values.items() if isinstance(value, dict)}
    old = {name for name, definition in schema["properties"].items() if definition.get("deprecated")}
    assert set(schema["properties"]) - old - {"enabled"} == set(values)
    for name in sections:
        definition = schema["properties"][name]
        if "$ref" in definition:
            definition = schema["$defs"][definition["$ref"].rpartition("/")[2]]
        if definition.get("additionalProperties") is False and values[name]:
            assert set(values[name]) <= set(definition["properties"]), name
    for key in keys(values):
        parts = key.split(".")
        above = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        below = any(other.startswith(f"{key}.") for other in keys(values))
        assert below or any(f"| {name} |" in readme for name in above), key


def rendered(kind: str, *values: str) -> list[dict[str, Any]]:
    """Return the objects of a kind that a value file gives."""
    text = helm.template(helm.helm_3(), [helm.VALUES / f"{name}.yaml" for name in values])
    return [each for _, each in documents(text) if each["kind"] == kind]


def test_the_rules_of_the_chart_are_the_tested_ones(tmp_path: Path) -> None:
    """With nothing changed the PrometheusRule has the rules of config/alerts.yaml, whose cases run on that file."""
    options = f"prometheusRule.enabled=true,prometheusRule.grafana={GRAFANA}"
    text = helm.template(helm.helm_3(), (), "--set", options)
    (rule,) = [each for _, each in documents(text) if each["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text())
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rule["spec"], sort_keys=False))
    run([promtool(), "check", "rules", "alerts.yaml"], "promtool", "read what it says", cwd=tmp_path)


def test_single_alerts_are_changed_and_the_rest_stays() -> None:
    """Thresholds, tiers, times, labels and links: as the value file says, and nowhere else."""
    (rule,) = rendered("PrometheusRule", "rules")
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    alerts = [each for each in rules if "alert" in each]
    by_name = {each["alert"]: each for each in alerts}
    assert ">= 60\n" in by_name["RiverQueueAgeing"]["expr"]
    assert by_name["RiverQueueAgeing"]["for"] == "10m"
    assert by_name["RiverQueueAgeing"]["labels"]["severity"] == "critical"
    assert by_name["RiverPoolNearlyExhausted"]["keep_firing_for"] == "15m"
    assert by_name["RiverPoolNearlyExhausted"]["annotations"]["note"] == "ask the platform team"
    assert "RiverIndexInvalid" not in by_name
    assert [each["labels"]["severity"] for each in alerts if each["alert"] == "RiverTableWraparound"] == ["critical"]
    assert {each["labels"]["team"] for each in alerts} == {"jobs"}
    assert all(each["annotations"]["runbook_url"].startswith("https://wiki.example.com/river/") for each in alerts)
    original = yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text())
    everything = [each for group in original["groups"] for each in group["rules"]]
    assert len(rules) == len(everything) - 2
    assert "${" not in yaml.safe_dump(rule)


def test_the_dashboards_of_the_chart_are_those_of_the_project() -> None:
    """Byte for byte, in ConfigMaps with the label that Grafana's sidecar looks for."""
    found: dict[str, str] = {}
    for each in rendered("ConfigMap", "dashboards"):
        if each["metadata"]["labels"].get("dashboards") == "yes":
            assert each["metadata"]["namespace"] == "grafana"
            assert each["metadata"]["annotations"]["grafana_folder"] == "Jobs"
            found |= each["data"]
    assert found == {path.name: path.read_text().rstrip("\n") for path in (ROOT / "dashboards").glob("*.json")}
    assert len(found) >= 5


def test_no_secret_reaches_a_command_line_or_a_config_map() -> None:
    """Secrets are mounted as whole folders, so that a rotation reaches a running container."""
    for values in VALUES:
        for _, each in documents(helm.template(helm.helm_3(), [values])):
            if each["kind"] not in ("Deployment", "Job"):
                continue
            container = each["spec"]["template"]["spec"]["containers"][0]
            assert container["name"] in ("river-exporter", "doctor")
            assert not [argument for argument in container["args"] if "://" in argument]
            assert not [mount for mount in container["volumeMounts"] if "subPath" in mount]


def test_the_sidecar_never_keeps_river_from_starting(tmp_path: Path) -> None:
    """Native, no readiness probe, probes that need no database, and every volume of it may be missing."""
    (deployment,) = [each for _, each in documents(example(tmp_path)) if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert "readinessProbe" not in sidecar
    assert sidecar["startupProbe"]["httpGet"]["path"] == sidecar["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
    for volume in pod["volumes"]:
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            (reference,) = [source[kind] for kind in ("configMap", "secret") if kind in source]
            assert reference["optional"] is True


def example(folder: Path, *options: str, program: Path | None = None) -> str:
    """Render the example chart of a River application, with the chart as its dependency."""
    return helm.template(program or helm.helm_3(), (), *options, chart=helm.example_chart(folder))


def test_a_command_in_the_container_finds_its_configuration(tmp_path: Path) -> None:
    """`kubectl exec … river-exporter doctor` is told no file: the environment names it, in both forms of the chart."""
    for text in (helm.template(helm.helm_3()), example(tmp_path)):
        objects = [each for _, each in documents(text)]
        (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
        pod = deployment["spec"]["template"]["spec"]
        (container,) = [
            each for each in [*pod.get("initContainers", []), *pod["containers"]] if each["name"] == "river-exporter"
        ]
        (file,) = [each["value"] for each in container["env"] if each["name"] == "RIVER_EXPORTER_CONFIG_FILE"]
        mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        volume = mounted[str(Path(file).parent)]
        (name,) = [each["configMap"]["name"] for each in pod["volumes"] if each["name"] == volume]
        (config,) = [each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name]
        assert Path(file).name in config["data"]


def test_gating_river_is_opt_in(tmp_path: Path) -> None:
    """Then the startup probe waits for a first collection."""
    text = example(tmp_path, "--set", "river-exporter.sidecar.gate=true")
    (deployment,) = [each for _, each in documents(text) if each["kind"] == "Deployment"]
    (sidecar,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/-/ready"


def test_an_old_cluster_is_told_what_to_include(tmp_path: Path) -> None:
    """Before 1.29 a native sidecar would be an init container that never ends."""
    with pytest.raises(helm.HelmFailed, match=r"needs Kubernetes 1\.29; include river-exporter\.container"):
        example(tmp_path, "--kube-version", "1.28.0")


def test_the_container_form_is_the_sidecar_without_its_restart_policy(tmp_path: Path) -> None:
    """Both come from one template."""
    (sidecar,) = _containers(example(tmp_path / "sidecar"), "initContainers")
    text = helm.template(
        helm.helm_3(), (), "--kube-version", "1.28.0", chart=helm.container_chart(tmp_path / "container")
    )
    container, river = _containers(text, "containers")
    assert sidecar.pop("restartPolicy") == "Always"
    assert container == sidecar
    assert river["name"] == "river"


def _containers(text: str, key: str) -> list[dict[str, Any]]:
    (deployment,) = [each for _, each in documents(text) if each["kind"] == "Deployment"]
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"][key]
    return found


def test_plain_manifests_are_current() -> None:
    """What people without Helm apply is what the chart renders today."""
    run([sys.executable, "-m", "tests.k8s.manifests", "--check"], "manifests", "run make manifests", cwd=ROOT)


def test_the_workflows_pass_their_linter() -> None:
    """Both are parsed by actionlint: keys, expressions, outputs of steps and jobs."""
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    assert {path.name for path in workflows} >= {"ci.yaml", "release.yaml"}
    run([helm.actionlint(), "-shellcheck=", "-pyflakes=", *workflows], "actionlint", "read what it says", cwd=ROOT)
