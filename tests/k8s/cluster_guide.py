"""docs/kubernetes.md, command by command on a real cluster: what it shows is what is answered.

The commands are those of ``console`` blocks, behind ``$``; what follows is their output. Names, ages, times and
addresses differ from one run to the next and are not compared, nor is what a line of ``...`` stands for.
"""

import doctest
import os
import re
import secrets as random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from exporter import __version__
from tests.documents import Bash, Shown, shown
from tests.k8s import helm, image_tools, operator
from tests.k8s.conftest import TEMPLATE, postgres_for_pods
from tests.k8s.image_tools import ROOT
from tests.k8s.kubernetes import NODE, Cluster
from tests.testbed import river
from tests.testbed.postgres import Postgres
from tests.testbed.postgres_binaries import postgres_home
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus, promtool

pytestmark = pytest.mark.timeout(900)

GUIDE = ROOT / "docs" / "kubernetes.md"

SEEN = Path(os.environ.get("GUIDE_SEEN", "/dev/null"))
"""Where the guide is written with the output as it was seen, to be reviewed and taken over."""


def commands() -> list[Shown]:
    """Return the commands of the guide's blocks, in order."""
    return [each for each in shown(GUIDE) if each.block and each.language == "sh"]


VARYING = (
    (r"\b[0-9a-f]{7,10}-[a-z0-9]{5}\b", "POD"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w+ +\d+ [\d:]+ \d+", "TIME"),
    (r"@\[[\d.]+\]", "TIME"),
    (r"\b\d+m?\d*s\b", "AGE"),
    (r"(?<=} => )10(?= )", "NUMBER"),  # of the budget, which ends at the timeout
    (r"\b10\.77\.0\.\d+", "ADDRESS"),
    (r"\b\d+\.\d+\b", "NUMBER"),
    (r"\binstance=\"[^\"]*\"", "instance"),
    (r"[ \t]+", " "),
    (r"branch: [^,]+, revision: [^)]+", "BUILD"),
)


def comparable(text: str) -> str:
    """Return a text without what differs from one run to the next."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


@pytest.fixture
def own_server(cluster: Cluster, images: None) -> Iterator[Postgres]:
    """Yield a PostgreSQL of the guide's own: at its end it drops the role."""
    del cluster, images
    with postgres_for_pods() as postgres:
        yield postgres


@pytest.fixture
def shell(cluster: Cluster, own_server: Postgres, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of who follows the guide: tools, a database `shop` at postgres.db, a Prometheus."""
    own_server.create_database("shop", TEMPLATE)
    image_tools.buildah_run(["tag", image_tools.IMAGE, f"ghcr.io/river-exporter/river-exporter:{__version__}"], "tag")
    published = image_tools.archive(f"ghcr.io/river-exporter/river-exporter:{__version__}", tmp_path)
    worker = image_tools.worker_image("registry.example.com/river-app:1.0.0", river.binary(), tmp_path)
    cluster.load(published, worker)
    cluster.apply(DATABASE.format(address=NODE, port=own_server.port))
    tools = tmp_path / "bin"
    tools.mkdir()
    programs = {
        "helm": helm.helm_3(),
        "kubectl": cluster.program,
        "promtool": promtool(),
        "psql": postgres_home(18) / "bin" / "psql",
        "river-exporter": Path(sys.executable).parent / "river-exporter",
    }
    for name, program in programs.items():
        (tools / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (tools / name).chmod(0o755)
    shutil.copytree(ROOT / "helm", tmp_path / "helm")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig.read_text())
    config = operator.configuration([], None, tmp_path)
    with Prometheus(config, program=operator.prometheus()) as prometheus:
        yield {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "KUBECONFIG": str(kubeconfig),
            "PASSWORD": random.token_hex(12),
            "APP_URL": f"postgresql://postgres:{own_server.password}@postgres.db:5432/shop",
            "PROMETHEUS": prometheus.url,
            "PGHOST": own_server.host,
            "PGPORT": str(own_server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": own_server.password,
            "PGDATABASE": "shop",
        }


DATABASE = """
apiVersion: v1
kind: Namespace
metadata: {{name: db}}
---
apiVersion: v1
kind: Service
metadata: {{name: postgres, namespace: db}}
spec: {{ports: [{{port: 5432}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: postgres, namespace: db, labels: {{kubernetes.io/service-name: postgres}}}}
addressType: IPv4
endpoints: [{{addresses: ["{address}"]}}]
ports: [{{port: {port}}}]
"""


def test_the_guide_holds(cluster: Cluster, shell: dict[str, str], tmp_path: Path) -> None:
    """Every command succeeds and answers what the guide shows."""
    checker = doctest.OutputChecker()
    wrong = []
    guide = commands()
    with Bash(shell, tmp_path) as bash:
        for each in guide:
            each.seen = bash.run(each.text)
            if each.text.startswith("helm install app"):
                operate(cluster, shell, tmp_path)  # what the Prometheus operator does by itself
            expected, seen = comparable("\n".join(each.expected)), comparable(each.seen)
            if not checker.check_output(expected, seen, doctest.ELLIPSIS):
                wrong.append(
                    f"docs/kubernetes.md:{each.line}: $ {each.text}\nit shows:\n{expected}\nseen:\n{each.seen}"
                )
    SEEN.write_text(with_output(guide))
    assert not wrong, "\n".join(wrong)
    assert len(guide) >= 20


def operate(cluster: Cluster, shell: dict[str, str], folder: Path) -> None:
    """Make Prometheus' configuration of the PodMonitor and the PrometheusRule, and wait for its first scrapes."""
    (monitor,) = cluster.get("podmonitors", "-n", "shop")["items"]
    (rules,) = cluster.get("prometheusrules", "-n", "shop")["items"]
    operator.configuration([operator.scrape_job(monitor, folder / "kubeconfig")], rules, folder)
    requests.post(f"{shell['PROMETHEUS']}/-/reload", timeout=30).raise_for_status()

    def told() -> bool:
        query = {"query": "count(up == 1) == 3 and on () count(river_jobs) > 0", "time": str(time.time())}
        answer = requests.get(f"{shell['PROMETHEUS']}/api/v1/query", params=query, timeout=30)
        return bool(answer.json()["data"]["result"])

    wait_for(told, 90, "Prometheus to know three exporters", interval=1)


def with_output(guide: list[Shown]) -> str:
    """Return the guide with the output as it was seen."""
    lines = GUIDE.read_text().splitlines()
    for each in reversed(guide):
        lines[each.line : each.line + len(each.expected)] = each.seen.rstrip().splitlines()
    return "\n".join(lines) + "\n"
