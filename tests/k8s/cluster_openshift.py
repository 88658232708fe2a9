"""User IDs in real pods: assigned by the platform as on OpenShift, the image's own, and a pod's that is root."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.k8s import helm
from tests.k8s.golden import documents
from tests.k8s.kubernetes import Cluster, KubectlFailed, container, get, process_of
from tests.k8s.release import ALONE, APP, Place, Release, alone, application, released, secrets
from tests.testbed.process import wait_for

pytestmark = pytest.mark.timeout(900)

POLICIES = Path(__file__).parent / "openshift.yaml"

ASSIGNED = 1000680000
"""The first ID of the range in openshift.yaml."""

MakePlace = Callable[[str], Place]


@pytest.fixture(scope="module")
def policies(cluster: Cluster) -> Iterator[None]:
    """Put the policies in force, and wait until they are: the API server compiles them within a second or so."""
    cluster.apply(POLICIES.read_text())
    cluster.namespace("ids-probe")
    label(cluster, "ids-probe")
    pod = pod_of(helm.template(helm.helm_3(), (), "--set", "securityContext.runAsUser=65532"))

    def refused() -> bool:
        try:
            cluster.kubectl("create", "-n", "ids-probe", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
        except KubectlFailed as failure:
            return "must be in the ranges" in str(failure)
        return False

    wait_for(refused, 30, "the policies to be in force", interval=0.3)
    yield
    cluster.kubectl("delete", "-f", POLICIES)


def label(cluster: Cluster, namespace: str) -> None:
    """Put a namespace under the policies."""
    cluster.kubectl("label", "namespace", namespace, "river-exporter-tests/user-ids=assigned")


def pod_of(text: str) -> dict[str, Any]:
    """Return the pod of the Deployment that was rendered, as one of its own."""
    (deployment,) = [each for _, each in documents(text) if each["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    template["spec"].pop("serviceAccountName", None)  # it was not really made
    template["metadata"] |= {"name": "template"}
    return {"apiVersion": "v1", "kind": "Pod", **template}


@pytest.fixture
def place(make_place: MakePlace, cluster: Cluster) -> Place:
    """Return a namespace with the Secrets, and a database."""
    made = make_place("ids")
    secrets(cluster, made)
    return made


@pytest.fixture
def app(place: Place, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    """Yield the example application's release, not yet installed."""
    chart = helm.example_chart(tmp_path)
    with released(Release(cluster, "app", place.namespace, chart, tmp_path / "values.yaml", helm.helm_3())) as release:
        yield release


def ids(pod: dict[str, Any]) -> tuple[int, int]:
    """Return the user and the group that a pod's exporter really runs as."""
    status = (process_of(pod) / "status").read_text()
    user, group = (re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE) for name in ("Uid", "Gid"))
    assert user is not None
    assert group is not None
    return int(user[1]), int(group[1])


def sees_river(pod: dict[str, Any]) -> bool:
    """Whether an exporter reads River's jobs, and so its Secret, its configuration and its database."""
    return "river_jobs{" in (get(pod, "/metrics") or "")


@pytest.mark.usefixtures("policies")
def test_beside_river_it_runs_as_the_assigned_user(app: Release, cluster: Cluster, place: Place) -> None:
    """The example application's pods start with the sidecar, by the defaults, as an unknown user with group 0."""
    label(cluster, place.namespace)
    app.install(application())
    (pod,) = cluster.wait_ready(place.namespace, APP, 1)
    assert ids(pod) == (ASSIGNED, 0)
    wait_for(lambda: sees_river(pod), 60, "River's jobs", interval=0.5)
    assert container(pod, "river-exporter")["restartCount"] == 0
    assert "Permission denied" not in cluster.logs(place.namespace, pod["metadata"]["name"], "-c", "river-exporter")


@pytest.mark.usefixtures("policies")
def test_alone_and_its_test_run_as_the_assigned_user(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """The Deployment, and the Job of `helm test`."""
    label(cluster, place.namespace)
    values = tmp_path / "values.yaml"
    with released(Release(cluster, "watch", place.namespace, helm.CHART, values, helm.helm_3())) as release:
        release.install(alone(doctor={"args": []}))
        (pod,) = cluster.wait_ready(place.namespace, ALONE, 1)
        assert ids(pod) == (ASSIGNED, 0)
        try:
            release.run("test", "--timeout", "120s")
        except helm.HelmFailed:  # without a River doctor may well find a problem: what counts is that it ran and judged
            log = cluster.logs(place.namespace, "job/watch-river-exporter-doctor")
            assert re.search(rf"^river-exporter \S+ doctor, .*: PostgreSQL .*/{place.database}", log, re.MULTILINE), log


@pytest.mark.usefixtures("policies")
def test_a_user_id_of_ones_own_is_refused_there(cluster: Cluster, tmp_path: Path) -> None:
    """The rule above can fail: with the ID that was once the default neither form of the pod is taken."""
    for text in (
        helm.template(helm.helm_3(), (), "--set", "securityContext.runAsUser=65532"),
        helm.template(
            helm.helm_3(),
            (),
            *("--set", "river-exporter.securityContext.runAsUser=65532"),
            chart=helm.example_chart(tmp_path),
        ),
    ):
        with pytest.raises(KubectlFailed, match="must be in the ranges"):
            cluster.kubectl(
                *("create", "-n", "ids-probe", "--dry-run=server", "-f", "-"), stdin=json.dumps(pod_of(text))
            )
    bare = pod_of(helm.template(helm.helm_3(), chart=helm.example_chart(tmp_path / "bare")))
    cluster.kubectl("create", "-n", "ids-probe", "--dry-run=server", "-f", "-", stdin=json.dumps(bare))


def test_elsewhere_it_runs_as_the_images_user(app: Release, cluster: Cluster, place: Place) -> None:
    """Without such a rule `runAsNonRoot` is met by the number in the image."""
    app.install(application())
    (pod,) = cluster.wait_ready(place.namespace, APP, 1)
    assert ids(pod) == (65532, 65532)


def test_beside_a_river_that_is_root_a_user_id_is_set(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """A pod that itself says `runAsUser: 0` needs the value; with it River runs as root and the exporter does not."""
    namespace = f"{place.namespace}-root"
    cluster.kubectl("create", "namespace", namespace)  # `restricted` takes no root
    rooted = Place(namespace, place.database, place.server)
    secrets(cluster, rooted)
    chart = helm.example_chart(tmp_path)
    template = chart / "templates" / "deployment.yaml"
    own = "      securityContext:\n        runAsNonRoot: true\n"
    text = template.read_text()
    assert text.count(own) == 1
    template.write_text(text.replace(own, "      securityContext:\n        runAsUser: 0\n"))
    values = tmp_path / "values.yaml"
    with released(Release(cluster, "app", namespace, chart, values, helm.helm_3())) as release:
        release.install(application(securityContext={"runAsUser": 65532}))
        (pod,) = cluster.wait_ready(namespace, APP, 1)
        assert ids(pod)[0] == 65532
        wait_for(lambda: sees_river(pod), 60, "River's jobs", interval=0.5)
