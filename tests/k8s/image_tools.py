"""buildah, podman and a base image, from Debian's packages and without a daemon, in a storage folder of our own."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.testbed.cache import PartMissing, cache_dir, fetch, lock, machine, run, say
from tests.testbed.debian import debian_program, environment

ROOT = Path(__file__).parents[2]
"""The checkout."""

SUITE = "bookworm"
"""The Debian release of the base image; its Python is 3.11."""

BASE = "localhost/python-slim:test"
IMAGE = "localhost/river-exporter:test"
RIVER = "localhost/river-worker:test"

ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""podman's own defaults are above what an unprivileged sandbox may set."""


@cache
def buildah() -> Path:
    """Return buildah, which builds images in a chroot: no daemon, no user namespaces."""
    return _linked(debian_program("buildah", ["buildah"], (1, 23), (2,)))


@cache
def podman() -> Path:
    """Return podman."""
    return _linked(debian_program("podman", ["podman"], (4,), (6,)))


@cache
def runc() -> Path:
    """Return runc, the runtime that works where crun does not."""
    return debian_program("runc", ["runc"], (1, 1), (2,))


@cache
def conmon() -> Path:
    """Return conmon, podman's monitor of a container."""
    return debian_program("conmon", ["conmon"], (2,), (3,))


@cache
def debootstrap() -> Path:
    """Return debootstrap, made to find its own scripts wherever it was unpacked."""

    def finish(folder: Path) -> None:
        script = folder / "usr/sbin/debootstrap"
        text = script.read_text()
        script.write_text(text.replace("DEBOOTSTRAP_DIR=/usr/share/", 'DEBOOTSTRAP_DIR="$(dirname "$0")"/../share/'))

    return debian_program("debootstrap", ["debootstrap"], (1,), (2,), finish)


def _linked(program: Path) -> Path:
    """Make an unpacked program find its libraries: it starts itself again from memory, without our environment."""
    libraries = environment(program).get("LD_LIBRARY_PATH")
    if libraries:
        patchelf = debian_program("patchelf", ["patchelf"], (0, 10), (1,))
        remedy = f"install {program.name} with your system's package manager"
        with lock(program.name):
            if libraries not in run([patchelf, "--print-rpath", program], program.name, remedy):
                run([patchelf, "--set-rpath", libraries, program], program.name, remedy)
    return program


def storage() -> list[str]:
    """Return the options that keep images in the cache folder, apart from a machine's own."""
    folder = cache_dir() / "images"
    return ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]


def settings() -> dict[str, str]:
    """Return the environment that points the tools at each other and at a home of our own, not at the machine's."""
    home = cache_dir() / "images" / "home"
    containers = home / ".config" / "containers"
    containers.mkdir(parents=True, exist_ok=True)
    (containers / "containers.conf").write_text(
        f'[engine]\nconmon_path = ["{conmon()}"]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n'
        f'events_logger = "none"\n[engine.runtimes]\nrunc = ["{runc()}"]\n'
    )
    (containers / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    (containers / "registries.conf").write_text("")  # nothing is ever pulled
    libraries = [environment(each).get("LD_LIBRARY_PATH") for each in (conmon(), runc())]
    found = os.pathsep.join(dict.fromkeys(each for each in libraries if each))
    return {
        "HOME": str(home),
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_CONF": str(containers / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(containers / "registries.conf"),
        **({"LD_LIBRARY_PATH": found} if found else {}),
    }


def buildah_run(argv: Sequence[str | Path], what: str) -> str:
    """Run a buildah command (``["from", "scratch"]``) and return its stdout.

    Raises:
        PartMissing: it failed; with the line in which it said why.
    """
    remedy = f"run it by hand to see all it says: {buildah()} {' '.join(str(word) for word in argv)}"
    return run([command("buildah"), *argv], what, remedy, env=settings())


def command(name: str) -> Path:
    """Return a command that runs buildah or podman on our storage with whatever arguments follow."""
    program = {"buildah": buildah, "podman": podman}[name]()
    folder = cache_dir() / "images" / "bin" / name
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / name
    words = [str(program), *storage()]
    if name == "podman":
        words += ["--cgroup-manager", "cgroupfs", "--runtime", str(runc())]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    script.chmod(0o755)
    return script


def build_image(tag: str = IMAGE, sources: Path = ROOT) -> str:
    """Build the exporter's image as ``make image`` does, from the test base, and return its name."""
    environment = {**settings(), "BASE": base_image()}
    environment["PATH"] = os.pathsep.join([str(command("buildah").parent), "/usr/bin", "/bin"])
    say(f"building {tag}")
    remedy = f"run it by hand: {sources}/image/build {tag}"
    run([sources / "image" / "build", tag], "image", remedy, env=environment)
    buildah_run(["rmi", "--prune"], "removing what earlier builds left")
    return tag


def copy_sources(into: Path) -> Path:
    """Copy what the Dockerfile reads, so that two builds have the same sources whoever edits meanwhile."""
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, into / name)
    for name in ("exporter", "image"):
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    return into


def archive(image: str, into: Path) -> Path:
    """Write an image to a docker-archive, as the cluster imports it; returns the file."""
    file = into / f"{image.rpartition('/')[2].replace(':', '-')}.tar"
    file.unlink(missing_ok=True)
    buildah_run(["push", "--quiet", image, f"docker-archive:{file}:{image}"], image)
    return file


def worker_image(image: str, program: Path, into: Path) -> Path:
    """Write an image of the static River worker, with its metrics at :9090, to a docker-archive and return the file.

    Its user is a number, so that a pod may demand `runAsNonRoot` and leave the user to the image.
    """
    container = buildah_run(["from", "scratch"], image).strip()
    buildah_run(["add", "--quiet", container, program, "/river_worker"], image)
    entrypoint = json.dumps(["/river_worker", "--metrics-address=:9090"])
    buildah_run(["config", "--entrypoint", entrypoint, "--port", "9090", "--user", "65532:65532", container], image)
    buildah_run(["commit", "--quiet", "--rm", container, image], image)
    return archive(image, into)


def base_image() -> str:
    """Return the name of a slim Python with pip, as the Dockerfile wants it; made by debootstrap at the first call."""
    with lock("base-image"):
        if not exists(BASE):
            archive = fetch(f"image-base-{SUITE}-{machine()}", _bootstrap) / "base.tar"
            container = buildah_run(["from", "scratch"], "base image").strip()
            buildah_run(["add", "--quiet", container, archive, "/"], "base image")
            buildah_run(["commit", "--quiet", "--rm", container, BASE], "base image")
    return BASE


def exists(image: str) -> bool:
    """Whether our storage has that image."""
    found = subprocess.run(
        [command("buildah"), "inspect", "--type", "image", image],
        capture_output=True,
        check=False,
        env={**os.environ, **settings()},
    )
    return found.returncode == 0


def _bootstrap(into: Path) -> None:
    """Bootstrap Debian with Python and pip, and give it this machine's certificates and pip's settings."""
    if os.geteuid() != 0:
        raise PartMissing("base image: debootstrap needs root; run the image tests as root")
    tree = into / "tree"
    packages = "python3,python3-pip,ca-certificates"
    options = ["--variant=minbase", f"--include={packages}"]
    run([debootstrap(), *options, SUITE, tree], "base image", "check that apt-get reaches its mirror: apt-get update")
    for folder in ("var/cache/apt", "var/lib/apt/lists", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(tree / folder, ignore_errors=True)
    for name in ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf"):
        if Path("/", name).is_file():
            shutil.copyfile(Path("/", name), tree / name)
    run(["tar", "-C", tree, "--numeric-owner", "-cf", into / "base.tar", "."], "base image", "see man tar")
    shutil.rmtree(tree)
