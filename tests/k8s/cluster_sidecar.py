"""The exporter beside River in real pods: order of start and end, who speaks for the database, what never happens."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.k8s import helm, operator
from tests.k8s.kubernetes import Cluster, Watched, container, get, moment, process_of
from tests.k8s.release import APP, Place, Release, application, released, secrets
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus

pytestmark = pytest.mark.timeout(900)

HAND_OVER = 5.0
"""Seconds within which another exporter speaks for the database."""

MakePlace = Callable[[str], Place]


@pytest.fixture
def place(make_place: MakePlace, cluster: Cluster) -> Place:
    """Return a namespace with the Secrets, and a database."""
    made = make_place("sidecar")
    secrets(cluster, made)
    return made


@pytest.fixture
def app(place: Place, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    """Yield the example application's release, not yet installed."""
    chart = helm.example_chart(tmp_path)
    release = Release(cluster, "app", place.namespace, chart, tmp_path / "values.yaml", helm.helm_3())
    with released(release):
        yield release


def started(pod: dict[str, Any], name: str) -> float | None:
    """Return when a container was started; None while it was not."""
    running = container(pod, name)["state"].get("running")
    return moment(running["startedAt"]) if running else None


def the_pod(cluster: Cluster, place: Place) -> dict[str, Any] | None:
    """Return the application's one pod, once it is scheduled."""
    pods = [pod for pod in cluster.pods(place.namespace, APP) if "initContainerStatuses" in pod["status"]]
    return pods[0] if len(pods) == 1 else None


def test_it_starts_before_river_and_sees_it(app: Release, cluster: Cluster, place: Place) -> None:
    """River is started once the exporter answers its startup probe, and is then seen through its own address."""
    app.install(application())
    (pod,) = cluster.wait_ready(place.namespace, APP, 1)
    exporter, river = started(pod, "river-exporter"), started(pod, "river")
    assert exporter is not None
    assert river is not None
    assert exporter <= river
    assert container(pod, "river-exporter")["started"] is True

    def sees_river() -> bool:
        text = get(pod, "/metrics") or ""
        return 'river_pool_max_connections{source="pgxpool"} 10' in text and "river_queue_completed_total{" in text

    wait_for(sees_river, 60, "the exporter to see River and its pool", interval=0.5)


def test_a_missing_secret_or_a_wrong_configuration_never_stops_river(
    app: Release, cluster: Cluster, place: Place
) -> None:
    """River starts within 10 s all the same; the exporter says what is wrong, and recovers without a restart."""
    cluster.kubectl("delete", "secret", "-n", place.namespace, "database")
    app.install(application(), wait=False)
    pod = river_runs_within_ten_seconds(cluster, place)
    assert "cannot read" in ready_says(pod)
    name = f"configmap/{app.name}-river-exporter"
    right = cluster.get(name, "-n", place.namespace)["data"]["exporter.yaml"]
    cluster.kubectl("patch", name, "-n", place.namespace, "-p", data("nonsense: 1\n"))
    cluster.kubectl("delete", "pod", "-n", place.namespace, "-l", APP, "--wait=true")
    pod = river_runs_within_ten_seconds(cluster, place)
    assert "nonsense: no such key" in ready_says(pod)
    assert "river_exporter_config_last_reload_successful 0.0" in (get(pod, "/metrics") or "")
    secrets(cluster, place)
    cluster.kubectl("patch", name, "-n", place.namespace, "-p", data(right))
    wait_for(lambda: get(pod, "/-/ready"), 90, "the exporter to take the right configuration", interval=0.5)
    (pod,) = cluster.pods(place.namespace, APP)
    assert container(pod, "river-exporter")["restartCount"] == 0


def data(text: str) -> str:
    """Return a patch of a ConfigMap."""
    return json.dumps({"data": {"exporter.yaml": text}})


def ready_says(pod: dict[str, Any]) -> str:
    """Return what the exporter says of itself, which is not ready."""
    answer = requests.get(f"http://{pod['status']['podIP']}:10917/-/ready", timeout=5)
    assert answer.status_code == 503
    return answer.text


def river_runs_within_ten_seconds(cluster: Cluster, place: Place) -> dict[str, Any]:
    """Wait for River's container, and compare its start with the pod's own; whole seconds are all Kubernetes keeps."""

    def running() -> dict[str, Any] | None:
        pod = the_pod(cluster, place)
        return pod if pod and started(pod, "river") is not None else None

    pod = wait_for(running, 60, "River's container to run", interval=0.2)
    river = started(pod, "river")
    assert river is not None
    seconds = river - moment(pod["metadata"]["creationTimestamp"])
    print(f"River ran {seconds:.0f} s after its pod was made")
    assert seconds <= 10
    return pod


def test_gating_river_holds_it_until_the_database_was_seen(app: Release, cluster: Cluster, place: Place) -> None:
    """With `sidecar.gate` River waits: while the exporter cannot connect it does not start, then it does."""
    place.close()
    app.install(application(sidecar={"gate": True}), wait=False)

    def tries() -> dict[str, Any] | None:
        pod = the_pod(cluster, place)
        return pod if pod and started(pod, "river-exporter") is not None and get(pod, "/-/healthy") else None

    wait_for(tries, 60, "the exporter to run", interval=0.2)
    until = time.monotonic() + 8
    while time.monotonic() < until:  # not a wait for something: nothing may happen meanwhile
        pod = the_pod(cluster, place)
        assert pod is not None
        assert "running" not in container(pod, "river")["state"]
        time.sleep(0.5)
    place.open()
    cluster.wait_ready(place.namespace, APP, 1, timeout=90)


class Follow:
    """Follows the log of a container to its end, with the time of each line."""

    def __init__(self, cluster: Cluster, namespace: str, pod: str, name: str) -> None:
        self.lines: list[tuple[float, str]] = []
        words = ("logs", "-n", namespace, pod, "-c", name, "--follow", "--timestamps", "--since=1s")
        self._thread = threading.Thread(target=lambda: self._read(cluster.kubectl(*words)))
        self._thread.start()

    def _read(self, text: str) -> None:
        for line in text.splitlines():
            at, _, rest = line.partition(" ")
            self.lines.append((moment(at), rest))

    def end(self) -> None:
        """Wait until the container has ended."""
        self._thread.join(90)


def test_it_outlives_river_and_tells_its_last_completions(app: Release, cluster: Cluster, place: Place) -> None:
    """SIGTERM goes to River first; jobs of 4 s end, the completer flushes, and only then the exporter is told to end.

    It lingers for a scrape: all that River completed at its end is in its metrics, and all is over in the grace period.
    """
    worker = ("--rate=5", "--job-seconds=4", "--stop-timeout=15s")
    settings = {"collectors": {"lag": {"interval": "1s"}}}
    app.install(application(args=worker, config=settings))
    (pod,) = cluster.wait_ready(place.namespace, APP, 1)
    name = pod["metadata"]["name"]
    wait_for(lambda: completed(get(pod, "/metrics")) > 5, 60, "completions to be counted", interval=0.5)

    scrapes: list[tuple[float, float]] = []

    def gone() -> bool:
        text = get(pod, "/metrics", timeout=1)
        if text is not None:
            scrapes.append((time.time(), completed(text)))
        return not cluster.get("pods", "-n", place.namespace, "-l", APP)["items"]

    exporter = Follow(cluster, place.namespace, name, "river-exporter")
    with Watched(cluster, place.namespace, name) as watched:
        begun = time.time()
        cluster.kubectl("scale", "-n", place.namespace, "deployment/app", "--replicas=0")
        wait_for(gone, 60, "the pod to go", interval=0.1)
        took = time.time() - begun
        states = watched.states()
    exporter.end()
    ends = {}
    for part in ("river", "river-exporter"):
        ended = [state for pod in states if (state := container(pod, part)["state"].get("terminated"))]
        assert ended, f"{part} was not seen to end"
        assert ended[-1]["exitCode"] == 0
        ends[part] = moment(ended[-1]["finishedAt"])
    with place.server.connect(place.database) as connection:
        row = connection.execute("SELECT count(*) FROM river_job WHERE state = 'completed'").fetchone()
    count = row[0] if row else 0
    stopping = [at for at, line in exporter.lines if "stopping" in line]
    print(
        f"seconds after the deletion: River ended {ends['river'] - begun:.0f}, the exporter stopped lingering"
        f" {stopping[0] - begun:.1f}, it ended {ends['river-exporter'] - begun:.0f}, the pod went {took:.1f}"
    )
    print(f"scraped {len(scrapes)} times meanwhile; the last one told {scrapes[-1][1]:.0f} of {count} completions")
    assert ends["river"] >= begun + 3  # River's stop was a graceful one: its jobs of 4 s ended
    assert stopping[0] > ends["river"]
    assert [value for at, value in scrapes if at > ends["river"] + 1]  # scraped after River's end
    assert scrapes[-1][1] == count
    assert took < 30


def completed(text: str | None) -> float:
    """Return how many completions an exporter has counted."""
    found = re.findall(r"^river_queue_completed_total\{.*\} (\S+)$", text or "", re.MULTILINE)
    return sum(float(each) for each in found)


@contextmanager
def prometheus(cluster: Cluster, place: Place, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that finds the pods as the PodMonitor says, with the PrometheusRule's alerts."""
    (monitor,) = cluster.get("podmonitors", "-n", place.namespace)["items"]
    (rules,) = cluster.get("prometheusrules", "-n", place.namespace)["items"]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig.read_text())
    config = operator.configuration([operator.scrape_job(monitor, kubeconfig)], rules, folder)
    with Prometheus(config, program=operator.prometheus()) as running:
        yield running


def healthy(server: Prometheus, count: int) -> bool:
    """Whether that many targets were found and scraped."""
    return [target["health"] for target in server.targets()] == ["up"] * count


def leaders(pods: list[dict[str, Any]]) -> list[str]:
    """Return the names of the pods whose exporter speaks for the database.

    The address of a pod that has gone answers nothing at all, so nobody is waited for for long.
    """
    texts = {pod["metadata"]["name"]: get(pod, "/metrics", timeout=1) or "" for pod in pods}
    return [name for name, text in texts.items() if re.search(r"^river_exporter_is_leader\{.*\} 1", text, re.MULTILINE)]


def test_three_of_them_tell_the_database_once(app: Release, cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """One speaks for the database. Its pod is deleted, its process is killed: another takes over, none speaks twice."""
    app.install(application(3, ("--rate=10",), podMonitor={"enabled": True, "interval": "1s", "scrapeTimeout": "1s"}))
    cluster.wait_ready(place.namespace, APP, 3)
    with prometheus(cluster, place, tmp_path) as server:
        wait_for(lambda: healthy(server, 3), 60, "three targets", interval=0.5)
        wait_for(lambda: server.query("river_jobs"), 60, "River's jobs in Prometheus", interval=0.5)
        begun = time.time()
        seconds = [hand_over(cluster, place, end) for end in (delete_pod, kill_process)]
        print(f"hand-over after a deletion {seconds[0]:.1f} s, after a kill {seconds[1]:.1f} s")
        cluster.wait_ready(place.namespace, APP, 3, timeout=90)
        wait_for(lambda: healthy(server, 3), 60, "three targets again", interval=0.5)
        over = time.time()
        assert_one_voice(server, begun, over)
    assert max(seconds) <= HAND_OVER


def assert_one_voice(server: Prometheus, begun: float, over: float) -> None:
    """At each moment one exporter at most told the jobs; never were they missing for longer than a hand-over takes.

    Prometheus itself remembers the last value of a series for 5 min, so it is asked for scrapes, second by second.
    """
    told = server.range("count(count by (pod) (present_over_time(river_jobs[1s])))", begun, over, 1.0)
    moments = {round(at): value for series in told for at, value in series.points}
    assert max(moments.values()) <= 2, "a hand-over within one second shows two"
    twice = [at for at, value in moments.items() if value > 1]
    silent = longest_gap(list(moments), begun, over)
    print(f"two told within one second {len(twice)} times; at most {silent:.0f} s without any")
    assert len(twice) <= 2 * 2
    assert silent <= HAND_OVER + 15  # the jobs are counted every 10 s, at once after an election


def longest_gap(moments: list[int], begun: float, over: float) -> float:
    """Return the longest time without a moment."""
    points = [begun, *sorted(moments), over]
    return max(later - earlier for earlier, later in pairwise(points))


def hand_over(cluster: Cluster, place: Place, end: Callable[[Cluster, Place, str], None]) -> float:
    """End the one that speaks for the database; returns the seconds from its last word to the first of another one."""
    pods = cluster.wait_ready(place.namespace, APP, 3, timeout=90)
    (holder,) = wait_for(lambda: one(leaders(pods)), 30, "one that speaks for the database", interval=0.2)
    rest = [pod for pod in pods if pod["metadata"]["name"] != holder]
    (former,) = [pod for pod in pods if pod["metadata"]["name"] == holder]
    last = time.monotonic()
    end(cluster, place, holder)

    def another() -> float | None:
        nonlocal last
        holding, taken = leaders([former]), leaders(rest)
        assert len(holding) + len(taken) <= 1, "two speak for the database"
        now = time.monotonic()
        if holding:
            last = now
        return now if taken else None

    return wait_for(another, 60, "another one to speak", interval=0.1) - last


def one(found: list[str]) -> list[str] | None:
    """Return the list when it has exactly one item."""
    return found if len(found) == 1 else None


def delete_pod(cluster: Cluster, place: Place, name: str) -> None:
    """Delete a pod as a rollout does."""
    cluster.kubectl("delete", "pod", "-n", place.namespace, name, "--wait=false")


def kill_process(cluster: Cluster, place: Place, name: str) -> None:
    """Kill the exporter in a pod with SIGKILL, as running out of memory does."""
    pod = cluster.get("pod", name, "-n", place.namespace)
    os.kill(int(process_of(pod).name), signal.SIGKILL)


def critical(server: Prometheus) -> list[str]:
    """Return the names of our alerts that page, pending ones as well as those that fire."""
    found = [each["labels"] for each in server.alerts() if each["labels"].get("severity") == "critical"]
    return sorted(labels["alertname"] for labels in found if labels["alertname"].startswith("River"))


def firing(server: Prometheus) -> set[str]:
    """Return the names of the alerts that fire."""
    return {each["labels"]["alertname"] for each in server.alerts() if each["state"] == "firing"}


def test_a_rollout_of_river_under_load_is_no_alert(
    app: Release, cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """Three replicas at 60 jobs a second are replaced one by one; nothing fires, nor is about to page at the end."""
    app.install(application(3, ("--rate=20",), podMonitor={"enabled": True}))
    cluster.wait_ready(place.namespace, APP, 3)
    with prometheus(cluster, place, tmp_path) as server:
        wait_for(lambda: healthy(server, 3), 60, "three targets", interval=0.5)
        begun = time.time()
        cluster.kubectl("rollout", "restart", "-n", place.namespace, "deployment/app")
        cluster.kubectl("rollout", "status", "-n", place.namespace, "deployment/app", "--timeout=180s")
        cluster.wait_ready(place.namespace, APP, 3, timeout=120)
        until = time.monotonic() + 60
        while time.monotonic() < until:  # what a rollout may set off comes within a minute
            assert firing(server) == set()
            time.sleep(2)
        fired = server.range('ALERTS{alertstate="firing"}', begun, time.time(), 5.0)
        assert [series.labels for series in fired] == []
        assert critical(server) == [], "nothing is about to page either"


def test_a_row_lock_in_the_cluster_pages_with_its_cause(
    app: Release, cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """Somebody's transaction holds River's rows: a Prometheus that found the pods by itself fires within a minute."""
    app.install(application(2, ("--rate=20",), podMonitor={"enabled": True}))
    cluster.wait_ready(place.namespace, APP, 2)
    with prometheus(cluster, place, tmp_path) as server:
        wait_for(lambda: healthy(server, 2), 60, "two targets", interval=0.5)
        wait_for(lambda: server.query("river_completer_lag_seconds_count > 0"), 60, "completions", interval=0.5)
        assert firing(server) == set()
        with place.server.connect(place.database) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT id FROM river_job WHERE state = 'running' FOR UPDATE")
            begun = time.time()

            def page() -> dict[str, Any] | None:
                for each in server.alerts():
                    labels = each["labels"]
                    if labels["alertname"] == "RiverCompleterBudget" and labels["severity"] == "critical":
                        return each if each["state"] == "firing" else None
                return None

            alert = wait_for(page, 60, "the page", interval=0.5)
            print(f"paged {time.time() - begun:.1f} s after the lock: {alert['annotations']['summary']}")
            assert alert["labels"]["namespace"] == place.namespace
            assert "lock" in alert["annotations"]["summary"]
            connection.execute("ROLLBACK")
