"""The chart has the values that users of prometheus-community's charts expect, and each has its effect."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s import helm
from tests.k8s.golden import documents
from tests.k8s.image_tools import ROOT

Objects = Mapping[str, dict[str, Any]]
"""What was rendered, by kind; of several objects of a kind the first."""


def render(name: str, *options: str) -> Objects:
    """Return the objects that a value file gives."""
    found: dict[str, dict[str, Any]] = {}
    for _, each in documents(helm.template(helm.helm_3(), [helm.VALUES / f"{name}.yaml"], *options)):
        found.setdefault(each["kind"], each)
    return found


def at(*path: str | int) -> Callable[[Objects], Any]:
    """Return a function that reads what is at a path of the rendered objects; the first word is the kind."""

    def read(objects: Objects) -> Any:
        value: Any = objects
        for key in path:
            value = value[key]
        return value

    return read


POD = ("Deployment", "spec", "template", "spec")
EXPORTER = (*POD, "containers", 0)
RELEASE = {"matchNames": ["jobs"]}
DROPPED = [{"action": "drop", "regex": "python_.*", "sourceLabels": ["__name__"]}]
STACK = "kube-prometheus-stack"

CONVENTIONS: Sequence[tuple[str, Callable[[Objects], Any], Any]] = (
    # the value, where its effect is seen, and the effect of helm/tests/values/conventions.yaml
    ("namespaceOverride", at("Deployment", "metadata", "namespace"), "jobs"),
    ("global.imageRegistry", at(*EXPORTER, "image"), "mirror.example.com/river-exporter/river-exporter:0.1.0"),
    ("global.imagePullSecrets", at(*POD, "imagePullSecrets", 0), {"name": "global-registry"}),
    ("imagePullSecrets", at(*POD, "imagePullSecrets", 1), {"name": "registry"}),
    ("replicaCount", at("Deployment", "spec", "replicas"), 2),
    ("revisionHistoryLimit", at("Deployment", "spec", "revisionHistoryLimit"), 7),
    ("hostAliases", at(*POD, "hostAliases"), [{"ip": "10.1.2.3", "hostnames": ["postgres.internal"]}]),
    ("initContainers", at(*POD, "initContainers", 0, "name"), "wait-for-tunnel"),
    ("extraContainers", at(*POD, "containers", 1, "name"), "tunnel"),
    ("startupProbe", at(*EXPORTER, "startupProbe", "failureThreshold"), 120),
    ("livenessProbe", at(*EXPORTER, "livenessProbe", "timeoutSeconds"), 9),
    ("readinessProbe", at(*EXPORTER, "readinessProbe", "periodSeconds"), 7),
    ("service.type", at("Service", "spec", "type"), "NodePort"),
    ("service.port", at("Service", "spec", "ports", 0, "port"), 9187),
    ("service.annotations", at("Service", "metadata", "annotations"), {"example.com/owner": "jobs"}),
    ("podMonitor.namespace", at("PodMonitor", "metadata", "namespace"), "monitoring"),
    ("podMonitor.additionalLabels", at("PodMonitor", "metadata", "labels", "release"), STACK),
    ("podMonitor.namespaceSelector", at("PodMonitor", "spec", "namespaceSelector"), {"any": True}),
    ("podMonitor.sampleLimit", at("PodMonitor", "spec", "sampleLimit"), 5000),
    ("podMonitor.podTargetLabels", at("PodMonitor", "spec", "podTargetLabels"), ["team"]),
    ("podMonitor.metricRelabelings", at("PodMonitor", "spec", "podMetricsEndpoints", 0, "metricRelabelings"), DROPPED),
    ("serviceMonitor.namespace", at("ServiceMonitor", "metadata", "namespace"), "monitoring"),
    ("serviceMonitor.additionalLabels", at("ServiceMonitor", "metadata", "labels", "release"), STACK),
    ("serviceMonitor.namespaceSelector", at("ServiceMonitor", "spec", "namespaceSelector"), RELEASE),
    ("serviceMonitor.sampleLimit", at("ServiceMonitor", "spec", "sampleLimit"), 5000),
    ("serviceMonitor.targetLabels", at("ServiceMonitor", "spec", "targetLabels"), ["team"]),
    ("serviceMonitor.podTargetLabels", at("ServiceMonitor", "spec", "podTargetLabels"), ["team"]),
    ("serviceMonitor.metricRelabelings", at("ServiceMonitor", "spec", "endpoints", 0, "metricRelabelings"), DROPPED),
    ("prometheusRule.namespace", at("PrometheusRule", "metadata", "namespace"), "monitoring"),
    ("prometheusRule.additionalLabels", at("PrometheusRule", "metadata", "labels", "release"), STACK),
)


@pytest.fixture(scope="module")
def conventions() -> Objects:
    """Return what helm/tests/values/conventions.yaml gives."""
    return render("conventions")


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda each: each[0])
def test_a_convention_is_present(convention: tuple[str, Callable[[Objects], Any], Any], conventions: Objects) -> None:
    """The value is there with a default, described in the README, and its effect is absent without it."""
    value, read, effect = convention
    default: Any = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    for key in value.split("."):
        default = default[key]
    readme = (helm.CHART / "README.md").read_text()
    assert f"| {value} |" in readme
    assert read(conventions) == effect
    assert default != effect
    assert seen(read, render("default", *every_object())) != effect


def seen(read: Callable[[Objects], Any], objects: Objects) -> Any:
    """Return what is at the place; None where there is nothing."""
    try:
        return read(objects)
    except (KeyError, IndexError):
        return None


def every_object() -> tuple[str, ...]:
    """Return options that make each object of the table, with nothing else set."""
    names = ("service", "podMonitor", "serviceMonitor", "prometheusRule")
    return ("--set", ",".join(f"{name}.enabled=true" for name in names))


def test_a_registry_of_its_own_comes_before_the_repository() -> None:
    """`global.imageRegistry` replaces `image.registry`; a repository that names one is taken as it is."""
    for options, image in (
        ("image.registry=quay.io", "quay.io/river-exporter/river-exporter:0.1.0"),
        ("image.registry=quay.io,global.imageRegistry=mirror:5000", "mirror:5000/river-exporter/river-exporter:0.1.0"),
        ("image.repository=localhost/x,global.imageRegistry=mirror", "localhost/x:0.1.0"),
        ("image.repository=mirror:5000/x/y", "mirror:5000/x/y:0.1.0"),
        ("image.repository=team/x,image.tag=v2", "ghcr.io/team/x:v2"),
    ):
        assert at(*EXPORTER, "image")(render("default", "--set", options)) == image


def test_a_parent_chart_gives_registry_and_pull_secrets(tmp_path: Path) -> None:
    """`global` of the application's chart reaches the sidecar, and its pod can include the pull secrets."""
    chart = helm.example_chart(tmp_path)
    deployment = chart / "templates" / "deployment.yaml"
    secrets = 'include "river-exporter.imagePullSecrets" (index .Subcharts "river-exporter")'
    included = f"      imagePullSecrets: {{{{- {secrets} | nindent 8 }}}}\n"
    deployment.write_text(deployment.read_text().replace("      containers:\n", f"{included}      containers:\n"))
    options = ("--set", "global.imageRegistry=mirror.example.com,global.imagePullSecrets[0]=pull")
    (made,) = [
        each
        for _, each in documents(helm.template(helm.helm_3(), (), *options, chart=chart))
        if each["kind"] == "Deployment"
    ]
    pod = made["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"].startswith("mirror.example.com/river-exporter/")
    assert pod["imagePullSecrets"] == [{"name": "pull"}]


def test_a_monitor_elsewhere_still_selects_the_pods_of_the_release() -> None:
    """With a namespace of its own and no selector it names the release's; beside the pods it names none."""
    objects = render("default", "--set", "podMonitor.enabled=true,podMonitor.namespace=monitoring")
    assert objects["PodMonitor"]["spec"]["namespaceSelector"] == {"matchNames": ["apps"]}
    assert "namespaceSelector" not in render("default", "--set", "podMonitor.enabled=true")["PodMonitor"]["spec"]


def labels(kind: str, label: str) -> Callable[[Objects], Any]:
    """Return a function that reads a label of an object."""
    return at(kind, "metadata", "labels", label)


def console_login(objects: Objects) -> str:
    """Return the login of PgBouncer's console."""
    written = yaml.safe_load(objects["ConfigMap"]["data"]["exporter.yaml"])
    login: str = written["pgbouncer"]["url"].removeprefix("postgresql://").partition("@")[0]
    return login


OLD_NAMES: Sequence[tuple[str, str, Callable[[Objects], Any], Any]] = (
    # the old name and the new one, with a value; where both have their effect, and the effect
    ("replicas=2", "replicaCount=2", at("Deployment", "spec", "replicas"), 2),
    *(
        (f"{section}.labels.a=x", f"{section}.additionalLabels.a=x", labels(section[0].upper() + section[1:], "a"), "x")
        for section in ("podMonitor", "serviceMonitor", "prometheusRule", "alertmanagerConfig")
    ),
    ("pgbouncer.user=stats", "pgbouncer.consoleUser=stats", console_login, "stats"),
    (
        "image.repository=mirror.example.com/a/b",
        "image.registry=mirror.example.com,image.repository=a/b",
        at(*EXPORTER, "image"),
        "mirror.example.com/a/b:0.1.0",
    ),
)


@pytest.mark.parametrize("names", OLD_NAMES, ids=lambda each: each[0].partition("=")[0])
def test_an_old_name_keeps_working_and_the_notes_say_so(
    names: tuple[str, str, Callable[[Objects], Any], Any], tmp_path: Path
) -> None:
    """It has the effect of the new name, and only then the notes name both."""
    old, new, read, effect = names
    objects = ("--set", "alertmanagerConfig.enabled=true,pgbouncer.host=bouncer", *every_object())
    assert read(render("default", *objects, "--set", old)) == effect
    assert read(render("default", *objects, "--set", new)) == effect
    assert seen(read, render("default", *objects)) != effect
    said, name = notes(tmp_path, old), old.partition("=")[0]
    assert "OLD NAMES ARE SET" in said
    section = name.partition(".labels.")
    assert f"  {section[0]}{'.labels' if section[1] else ''} " in said
    assert "OLD NAMES" not in notes(tmp_path, new)


def notes(folder: Path, *options: str) -> str:
    """Return the notes of an installation, an object in a copy of the chart: `helm template` leaves them out."""
    chart = folder / "river-exporter"
    shutil.copytree(helm.CHART, chart, dirs_exist_ok=True)
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text(f'{{{{- define "notes" }}}}{text}{{{{- end }}}}')
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ include "notes" . | toJson }}\n')
    words = [word for option in options for word in ("--set", option)]
    text = helm.helm(helm.helm_3(), "template", "shop", chart, "--namespace", "apps", *words)
    (made,) = [each for _, each in documents(text) if each["kind"] == "Notes"]
    return str(made["text"])


def test_the_notes_have_the_names_of_the_release(tmp_path: Path) -> None:
    """Objects are named as they are called, in their namespaces; no placeholder stands for one of ours."""
    said = notes(tmp_path, "podMonitor.enabled=true", "podMonitor.namespace=monitoring", "prometheusRule.enabled=true")
    assert "kubectl -n apps exec deployment/shop-river-exporter -c river-exporter -- " in said
    assert "kubectl -n monitoring get podmonitor shop-river-exporter " in said
    assert "kubectl -n apps get prometheusrule shop-river-exporter " in said
    assert "helm upgrade shop oci://ghcr.io/river-exporter/charts/river-exporter --version 0.1.0 -n apps " in said
    assert "secret generic shop-river-exporter-database " in said
    assert "job/shop-river-exporter-doctor" in said
    for placeholder in ("CHART", "RELEASE", "<", "NAMESPACE"):
        assert placeholder not in said
    assert "get podmonitor" not in notes(tmp_path)


def test_without_a_grafana_no_alert_links_to_one() -> None:
    """A link that leads nowhere costs time when it is followed; with an address each alert has its link."""
    bare = render("default", "--set", "prometheusRule.enabled=true")["PrometheusRule"]
    assert "grafana" not in json.dumps(bare).lower()
    assert "dashboard_url" not in json.dumps(bare)
    linked = render("default", "--set", "prometheusRule.enabled=true,prometheusRule.grafana=https://g.example.com")
    alerts = [
        rule for group in linked["PrometheusRule"]["spec"]["groups"] for rule in group["rules"] if "alert" in rule
    ]
    assert len(alerts) > 20
    assert {each["annotations"]["dashboard_url"].partition("/d/")[0] for each in alerts} == {"https://g.example.com"}


def test_the_pools_owner_is_named_by_the_configuration_only() -> None:
    """`config.pgbouncer.user` says whose pool is River's; the console's login has another name in the chart."""
    values = "pgbouncer.host=bouncer,pgbouncer.consoleUser=stats,config.pgbouncer.user=river"
    written = yaml.safe_load(render("default", "--set", values)["ConfigMap"]["data"]["exporter.yaml"])["pgbouncer"]
    assert written == {"url": "postgresql://stats@bouncer:6432/pgbouncer", "user": "river"}
    assert "user" not in yaml.safe_load((helm.CHART / "values.yaml").read_text())["pgbouncer"]


def test_no_default_sets_a_user_or_group_id(tmp_path: Path) -> None:
    """A platform that assigns IDs refuses a pod with another one; `runAsNonRoot` stays, and an ID can still be set."""
    rendered = [each for _, each in documents(helm.template(helm.helm_3(), [helm.VALUES / "default.yaml"]))]
    rendered += [each for _, each in documents(helm.template(helm.helm_3(), chart=helm.example_chart(tmp_path)))]
    pods = [each["spec"]["template"]["spec"] for each in rendered if each["kind"] in ("Deployment", "Job")]
    assert len(pods) == 4
    for pod in pods:
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            own = container["securityContext"]
            assert not {"runAsUser", "runAsGroup"} & set(own)
            assert own.get("runAsNonRoot", pod["securityContext"]["runAsNonRoot"]) is True
    chosen = at(*EXPORTER, "securityContext")(render("default", "--set", "securityContext.runAsUser=65532"))
    assert chosen["runAsUser"] == 65532
    assert chosen["runAsNonRoot"] is True


@pytest.mark.parametrize(
    "value", ["startupProbe.initialDelaySeconds=60", "startupProbe.periodSeconds=30", "livenessProbe.exec.command[0]=x"]
)
def test_a_probe_may_not_hold_river_back(value: str) -> None:
    """River starts after the startup probe: no value delays it, and no value points a probe elsewhere."""
    with pytest.raises(helm.HelmFailed, match="Probe"):
        helm.template(helm.helm_3(), (), "--set", value)


def test_the_chart_says_who_maintains_it_and_how_it_is_installed() -> None:
    """Maintainers, an icon that is in the repository, and a README from prerequisites to the removal."""
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert [each for each in chart["maintainers"] if each["name"]]
    prefix = "https://raw.githubusercontent.com/river-exporter/river-exporter/main/"
    assert chart["icon"].startswith(prefix)
    assert (ROOT / chart["icon"].removeprefix(prefix)).read_text().startswith("<svg ")
    readme = (helm.CHART / "README.md").read_text()
    places = [
        readme.find(f"\n## {heading}\n") for heading in ("Prerequisites", "Install", "Upgrade", "Uninstall", "Values")
    ]
    assert min(places) > 0
    assert places == sorted(places)
