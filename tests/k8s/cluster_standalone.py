"""The Deployment of its own: installed, upgraded, reconfigured and removed on a real cluster, with both Helms."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import requests.adapters

from tests.conftest import ROLE
from tests.k8s import helm, operator
from tests.k8s.kubernetes import Cluster, container, get, moment
from tests.k8s.release import ALONE, Place, Release, alone, released, secrets
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus
from tests.testbed.river import River

pytestmark = pytest.mark.timeout(900)

MakePlace = Callable[[str], Place]


@pytest.fixture
def place(make_place: MakePlace, cluster: Cluster) -> Iterator[Place]:
    """Yield a namespace with the Secrets, and a database in which a River works."""
    made = make_place("alone")
    secrets(cluster, made)
    with River(made.server.url(made.database), rate=10):
        yield made


@pytest.fixture(params=[helm.helm_3, helm.helm_4], ids=["helm 3", "helm 4"])
def any_helm(request: pytest.FixtureRequest, place: Place, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    """Yield a release of the chart, not yet installed, with either Helm."""
    program: Path = request.param()
    with released(Release(cluster, "watch", place.namespace, helm.CHART, tmp_path / "values.yaml", program)) as release:
        yield release


@pytest.fixture
def release(place: Place, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    """Yield a release of the chart, not yet installed."""
    values = tmp_path / "values.yaml"
    with released(Release(cluster, "watch", place.namespace, helm.CHART, values, helm.helm_3())) as made:
        yield made


def sees_river(pod: dict[str, Any]) -> bool:
    """Whether an exporter tells of River's jobs."""
    text = get(pod, "/metrics") or ""
    return "river_up 1" in text and "river_jobs{" in text


def previous_chart(into: Path) -> Path:
    """Return the chart as an older version, whose objects an upgrade must take over."""
    chart = into / "previous" / "river-exporter"
    shutil.copytree(helm.CHART, chart)
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"^version: .*$", "version: 0.0.9", text, flags=re.MULTILINE))
    return chart


def test_install_upgrade_test_and_uninstall(any_helm: Release, cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """From the version before; the notes have the commands filled in; doctor passes; afterwards nothing is left."""
    before = inventory(cluster, place)
    current, any_helm.chart = any_helm.chart, previous_chart(tmp_path)
    notes = any_helm.install(alone(podMonitor={"enabled": True}, dashboards={"enabled": True}))
    assert f"kubectl -n {place.namespace} exec deployment/watch-river-exporter -c river-exporter --" in notes
    (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
    wait_for(lambda: sees_river(pod), 30, "River's jobs", interval=0.5)

    sql = cluster.kubectl(
        *f"-n {place.namespace} exec deployment/watch-river-exporter -c river-exporter --".split(),
        *("river-exporter", "setup-sql", "--replicas", "2"),
    )
    assert "connection limit 9" in sql  # the command of the notes works, in an image without a shell
    report = cluster.kubectl(
        *f"-n {place.namespace} exec deployment/watch-river-exporter -c river-exporter --".split(),
        *("river-exporter", "doctor", "--verbose", "--fail-on", "problem"),
    )
    assert re.search(r"^ok +connection: ", report, re.MULTILINE)  # as the runbooks have it: it knows where to look

    any_helm.upgrade(alone(replicaCount=2, serviceMonitor={"enabled": True}), current)
    cluster.wait_ready(place.namespace, ALONE, 2)
    any_helm.run("test", "--timeout", "120s")
    any_helm.run("uninstall", "--wait")
    wait_for(lambda: inventory(cluster, place) == before, 60, "everything to be gone", interval=0.5)


def inventory(cluster: Cluster, place: Place) -> set[str]:
    """Return every object of a namespace but those that tell of others: events and what Services are made into."""
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    asked = ",".join(kind for kind in kinds if not kind.startswith(("events", "endpoint")))
    names = cluster.kubectl("get", asked, "-n", place.namespace, "-o", "name", "--ignore-not-found", warnings=True)
    return set(names.split())


def test_three_are_found_by_their_service(release: Release, cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """A ServiceMonitor's Prometheus finds all replicas; River's jobs are told once."""
    release.install(alone(replicaCount=3, serviceMonitor={"enabled": True, "interval": "2s", "scrapeTimeout": "2s"}))
    cluster.wait_ready(place.namespace, ALONE, 3)
    (monitor,) = cluster.get("servicemonitors", "-n", place.namespace)["items"]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig.read_text())
    config = operator.configuration([operator.scrape_job(monitor, kubeconfig)], None, tmp_path)
    with Prometheus(config, program=operator.prometheus()) as server:
        wait_for(lambda: len(server.query("up == 1")) == 3, 60, "three targets", interval=0.5)
        once = "count by (schema, queue, state) (river_jobs)"
        wait_for(lambda: server.query(once), 60, "River's jobs", interval=0.5)
        assert {sample.value for sample in server.query(once)} == {1.0}
        assert {sample.labels["namespace"] for sample in server.query("up")} == {place.namespace}


def test_a_rotated_secret_is_picked_up(release: Release, cluster: Cluster, place: Place) -> None:
    """Another password in the Secret counts from the next connect on, without a restart."""
    role = f"rotated_{place.database}"
    with place.server.connect() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first' IN ROLE {ROLE}")
    cluster.secret(place.namespace, "database", url=place.url(role, "first"))
    release.install(alone())
    (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
    wait_for(lambda: sees_river(pod), 30, "River's jobs", interval=0.5)
    with place.server.connect() as connection:
        connection.execute(f"ALTER ROLE {role} PASSWORD 'second'")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        connection.execute(end, [role])
        wait_for(
            lambda: 'river_database_unreachable{reason="auth"} 1' in (get(pod, "/metrics") or ""),
            30,
            "the old one to be refused",
        )
        cluster.secret(place.namespace, "database", url=place.url(role, "second"))
        begun = time.monotonic()
        wait_for(lambda: sees_river(pod), 120, "River's jobs with the new password", interval=0.5)
        print(f"back {time.monotonic() - begun:.0f} s after the Secret was written")
    (same,) = cluster.pods(place.namespace, ALONE)
    assert same["metadata"]["name"] == pod["metadata"]["name"]
    assert container(same, "river-exporter")["restartCount"] == 0


def test_a_changed_config_map_is_reloaded_and_a_wrong_one_refused(
    release: Release, cluster: Cluster, place: Place
) -> None:
    """An upgrade that changes the configuration restarts nothing; a broken one leaves the last good one in force."""
    release.install(alone())
    (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
    assert threshold(pod) == "0.5"
    release.upgrade(alone(config={"thresholds": {"critical": 0.8}}))
    wait_for(lambda: threshold(pod) == "0.8", 90, "the exporter to read its configuration again", interval=0.5)
    broken = json.dumps({"data": {"exporter.yaml": "thresholds: {critical: high}\n"}})
    cluster.kubectl("patch", "configmap/watch-river-exporter", "-n", place.namespace, "-p", broken)
    refused = "river_exporter_config_last_reload_successful 0.0"
    wait_for(lambda: refused in (get(pod, "/metrics") or ""), 90, "the exporter to refuse it", interval=0.5)
    assert threshold(pod) == "0.8"
    (same,) = cluster.pods(place.namespace, ALONE)
    assert same["metadata"]["name"] == pod["metadata"]["name"]
    assert container(same, "river-exporter")["restartCount"] == 0


def threshold(pod: dict[str, Any]) -> str | None:
    """Return the critical threshold that an exporter tells."""
    text = get(pod, "/metrics") or ""
    found = re.search(r'^river_completer_threshold_ratio\{severity="critical"\} (\S+)$', text, re.MULTILINE)
    return found[1] if found else None


def test_tls_and_a_password_leave_the_probes_alone(
    release: Release, cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """With a web configuration scrapes are encrypted and ask who it is; kubelet's probes need to know nobody."""
    subject = ["-subj", "/CN=river-exporter", "-days", "2", "-nodes", "-newkey", "rsa:2048"]
    files = ["-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt")]
    subprocess.run(["openssl", "req", "-x509", *subject, *files], capture_output=True, check=True)
    hashed = bcrypt.hashpw(b"scrape me", bcrypt.gensalt(4)).decode()
    web = {
        "tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"},
        "basic_auth_users": {"prometheus": hashed},
    }
    certificate = {name: (tmp_path / name).read_text() for name in ("tls.crt", "tls.key")}
    cluster.secret(place.namespace, "web", **{"web.yaml": json.dumps(web)}, **certificate)
    release.install(alone(webConfig={"existingSecret": "web"}))
    (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
    address = f"https://{pod['status']['podIP']}:10917/metrics"
    with requests.Session() as session:
        session.trust_env = False  # which may name another authority
        session.verify = str(tmp_path / "tls.crt")
        session.mount(address, _AnyName())
        assert session.get(address, timeout=10).status_code == 401
        answer = session.get(address, timeout=10, auth=("prometheus", "scrape me"))
    assert answer.status_code == 200
    assert "river_up 1" in answer.text


class _AnyName(requests.adapters.HTTPAdapter):
    """Checks the certificate, but not its name: a pod's address is not in it."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_hostname=False)


def test_it_keeps_up_with_a_twentieth_of_a_core(release: Release, cluster: Cluster, place: Place) -> None:
    """Limited to 50m it is ready within 20 s, is scraped in a second, and no collector falls behind."""
    limited = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "128Mi"}}
    release.install(alone(resources=limited))
    (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
    times = {each["type"]: each["lastTransitionTime"] for each in pod["status"]["conditions"]}
    took = seconds_between(container(pod, "river-exporter")["state"]["running"]["startedAt"], times["Ready"])
    address = f"http://{pod['status']['podIP']}:10917/metrics"
    until, slowest, oldest = time.monotonic() + 60, 0.0, 0.0
    while time.monotonic() < until:
        begun = time.monotonic()
        text = requests.get(address, timeout=10).text
        slowest = max(slowest, time.monotonic() - begun)
        if time.monotonic() > until - 40:  # after its start
            oldest = max(oldest, staleness(text))
        time.sleep(2)
    print(
        f"ready {took:.0f} s after its start, slowest scrape {slowest:.2f} s, no collector is older than {oldest:.0f} s"
    )
    assert took <= 20
    assert slowest <= 1
    assert oldest <= 5


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds between two times of Kubernetes."""
    return moment(later) - moment(earlier)


def staleness(text: str) -> float:
    """Return the age of the last sample of the sessions, which are looked at every second."""
    found = re.search(
        r'^river_exporter_collector_last_success_timestamp_seconds\{collector="sessions"\} (\S+)$', text, re.MULTILINE
    )
    return time.time() - float(found[1]) if found else float("inf")
