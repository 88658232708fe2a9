"""Ten minutes beside River within 64 MiB: the application was started before the other tests on the cluster."""

import re
import time

import pytest

from tests.k8s.kubernetes import Cluster, container, get, moment, process_of
from tests.k8s.release import APP, Place
from tests.testbed.process import wait_for

pytestmark = pytest.mark.timeout(1200)

SECONDS = 600.0

ACCEPTED = 64
"""MiB resident, with River's own metrics read."""


def test_ten_minutes_within_its_memory(cluster: Cluster, long_running: Place) -> None:
    """No restart, no OOM kill, and the most it ever had resident is below what is accepted."""
    namespace = long_running.namespace
    (pod,) = cluster.wait_ready(namespace, APP, 1)
    begun = moment(container(pod, "river-exporter")["state"]["running"]["startedAt"])
    wait_for(lambda: time.time() - begun > SECONDS, SECONDS, "ten minutes of running", interval=5)
    (pod,) = cluster.pods(namespace, APP)
    status = container(pod, "river-exporter")
    assert status["restartCount"] == 0
    assert status["lastState"] == {}
    peak = re.search(r"^VmHWM:\s+(\d+) kB", (process_of(pod) / "status").read_text(), re.MULTILINE)
    assert peak is not None
    text = get(pod, "/metrics") or ""
    done = re.findall(r"^river_queue_completed_total\{.*\} (\S+)$", text, re.MULTILINE)
    print(f"{int(peak[1]) / 1024:.1f} MiB resident at most, {sum(map(float, done)):.0f} completions seen")
    assert int(peak[1]) <= ACCEPTED * 1024
    assert sum(map(float, done)) > SECONDS  # it did look at something


def test_no_pod_of_the_tests_was_killed_for_its_memory(cluster: Cluster) -> None:
    """Nobody else's either: the node's own record of OOM kills is empty."""
    events = cluster.get("events", "-A")["items"]
    assert [event["message"] for event in events if "OOM" in event["reason"]] == []


def test_the_probes_never_failed_once_it_ran(cluster: Cluster, long_running: Place) -> None:
    """Kubelet tells of each failed probe; before the start a refused connection is no failure of ours."""
    events = cluster.get("events", "-n", long_running.namespace)["items"]
    unhealthy = [event for event in events if event["reason"] == "Unhealthy" and "Liveness" in event["message"]]
    assert unhealthy == []


def test_nothing_was_written_in_the_container(cluster: Cluster, long_running: Place) -> None:
    """Its root is read-only, and it never tried to be otherwise: its log has no error of that kind."""
    log = cluster.logs(long_running.namespace, "deployment/app", "-c", "river-exporter")
    assert "Read-only file system" not in log
    assert "Traceback" not in log
