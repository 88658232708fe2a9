"""The image: built with the real Dockerfile, run as a cluster runs it, with nothing in it that is not needed."""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from exporter import __version__
from tests.conftest import Database, StartRiver
from tests.k8s import image_tools
from tests.testbed.process import Server, free_port, wait_for

LIMIT = "64m"
"""The memory the container gets; the accepted resident size of the exporter is below 56 MiB."""

BIGGEST = 45_000_000
"""Bytes of the image's files, uncompressed."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the image is made of."""
    return image_tools.copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def image(sources: Path) -> str:
    """Build the image."""
    return image_tools.build_image(sources=sources)


@pytest.fixture(scope="module")
def layers(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    """Return the files of the image by their path."""
    files: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(image_tools.archive(image, tmp_path_factory.mktemp("image"))) as outer:
        manifest = json.loads(_read(outer, "manifest.json"))[0]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                files.update({f"/{each.name.strip('/')}": each for each in inner})
    return files


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def inspect(image: str) -> dict[str, object]:
    """Return the image's OCI configuration."""
    text = image_tools.buildah_run(["inspect", "--type", "image", image], image)
    found: dict[str, object] = json.loads(text)["OCIv1"]
    return found


def digests(image: str) -> list[str]:
    """Return the digests of the image's layers: of every path, mode, owner, time and content."""
    root = inspect(image)["rootfs"]
    assert isinstance(root, dict)
    return list(root["diff_ids"])


def test_the_same_sources_give_the_same_file_tree(image: str, sources: Path) -> None:
    """Two builds have the same digest, so anybody can check what was published."""
    again = image_tools.build_image("localhost/river-exporter:again", sources)
    assert digests(again) == digests(image)


def test_nothing_in_it_can_be_run_but_the_exporter(layers: dict[str, tarfile.TarInfo]) -> None:
    """There is no shell, no pip and no package manager for whoever breaks in."""
    programs = {path for path, each in layers.items() if each.isfile() and each.mode & 0o111}
    names = {Path(path).name for path in programs}
    assert {name for name in names if not re.match(r"python3\.\d+$|river-exporter$|ld-linux", name)} == set()
    unwanted = re.compile(r"/(pip|setuptools|ensurepip|idlelib|tkinter|tests)(/|$)")
    assert [path for path in layers if unwanted.search(path)] == []


def test_it_is_small(layers: dict[str, tarfile.TarInfo]) -> None:
    """What could be left out was."""
    size = sum(each.size for each in layers.values())
    print(f"image: {size / 1e6:.1f} MB in {len(layers)} files")
    assert size < BIGGEST


def test_nothing_in_it_is_writable_or_another_users(layers: dict[str, tarfile.TarInfo]) -> None:
    """The account it runs as owns nothing and may write nowhere."""
    assert {path for path, each in layers.items() if each.uid or each.gid} == set()
    assert {path for path, each in layers.items() if each.mode & 0o022 and not each.issym()} == set()


def test_any_user_with_group_0_can_use_it(layers: dict[str, tarfile.TarInfo]) -> None:
    """As a platform that assigns user IDs runs it: the group of every file is 0, and may do what others may."""
    assert {each.gid for each in layers.values()} == {0}
    files = {path: each.mode for path, each in layers.items() if not each.issym()}
    assert [path for path, mode in files.items() if not mode & 0o040] == []
    assert [path for path, mode in files.items() if (mode & 0o111) and not mode & 0o010] == []


def test_no_file_of_the_checkout_slips_in(image: str, layers: dict[str, tarfile.TarInfo]) -> None:
    """Only the package's own files come from the checkout; the history names no secret."""
    ours = re.compile(r"/(opt/river-exporter|usr|etc|var/lib/dpkg/status\.d|lib|lib64|bin|sbin)(/|$)")
    assert [path for path, each in layers.items() if not each.isdir() and not ours.match(path)] == []
    history = json.dumps(inspect(image)["history"])
    assert not re.search(r"(?i)password|token|secret|://[^/\s]*@", history)


def test_its_labels_say_what_it_is(image: str) -> None:
    """OCI labels, the account, the signal and the port are those a cluster counts on."""
    config = inspect(image)["config"]
    assert isinstance(config, dict)
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    chart = yaml.safe_load((image_tools.ROOT / "helm" / "river-exporter" / "Chart.yaml").read_text())
    assert labels["org.opencontainers.image.source"] == chart["home"]
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["/usr/bin/river-exporter"]
    assert list(config["ExposedPorts"]) == ["10917/tcp"]


@pytest.fixture(params=[(), ("--user=1000680000:0",)], ids=["own user", "assigned user"])
def container(
    request: pytest.FixtureRequest, image: str, database: Database, tmp_path: Path
) -> Iterator[tuple[Server, str]]:
    """Run the image as a restricted pod would, on the test's database; yields the process and its address."""
    secret = tmp_path / "url"
    secret.write_text(database.exporter_url)
    for folder in (tmp_path, *tmp_path.parents[:2], secret):
        folder.chmod(folder.stat().st_mode | 0o055)  # the container's account must reach the file
    address = f"127.0.0.1:{free_port()}"
    name = f"river-exporter-test-{address.rpartition(':')[2]}"
    options = ["--rm", "--pull=never", f"--name={name}", "--network=host", "--timeout=300", *image_tools.ULIMITS]
    limits = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]
    limits += [f"--memory={LIMIT}", f"--memory-swap={LIMIT}", f"--volume={secret}:/database/url:ro"]
    environment = ["--env=RIVER_EXPORTER_DATABASE_URL_FILE=/database/url"]
    podman = image_tools.command("podman")
    flags = ["--config.follow", f"--web.listen-address={address}"]
    run: list[str | Path] = [podman, "run", *options, *request.param, *limits, *environment, image, *flags]
    server = Server("container", run, env=image_tools.settings())
    with server:
        yield server, f"http://{address}"
    subprocess.run([podman, "rm", "--force", "--time=0", name], capture_output=True, check=False)


def test_it_runs_with_nothing_granted(container: tuple[Server, str], river: StartRiver) -> None:
    """Read-only root, no capability, no new privileges, 64 MiB: it reads a real database and is scraped."""
    server, url = container
    river(rate=20)

    def metrics() -> str | None:
        try:
            text = requests.get(f"{url}/metrics", timeout=5).text
        except requests.ConnectionError:
            return None
        return text if re.search(r"^river_jobs\{.* [1-9]", text, re.MULTILINE) else None

    text = wait_for(metrics, 60, "the container to expose jobs", server)
    assert "river_up 1.0" in text
    resident = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    assert resident is not None
    print(f"resident in the container: {float(resident[1]) / 2**20:.1f} MiB")
    assert float(resident[1]) < 56 * 2**20
    assert requests.get(f"{url}/-/healthy", timeout=5).status_code == 200
    server.stop(timeout=8)
    assert server.returncode == 0, server.log_end()
