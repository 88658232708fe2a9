"""Programs from Debian's packages: the machine's own, else downloaded and unpacked into the cache, without root."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.testbed.cache import PartMissing, cache_dir, fetch, lock, machine, run, say

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers, not on an ordinary user's PATH."""

Version = tuple[int, ...]


def debian_program(
    package: str,
    names: Sequence[str],
    oldest: Version,
    below: Version,
    finish: Callable[[Path], None] = lambda _folder: None,
    beside: Sequence[str] = (),
) -> Path:
    """Return a program of a Debian package.

    Args:
        package: Debian's package. What its release has is taken; a release pins its upstream version.
        names: What the program is called, upstream and in Debian.
        oldest: The oldest version that will do, wherever it comes from.
        below: The first version that is too new to be known to work.
        finish: Called with the folder of a freshly unpacked package, to make it run from there.
        beside: Packages it needs that hold no shared library, unpacked with it.

    Raises:
        PartMissing: it can't be had here, or only in a version that doesn't fit.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    for name in names:
        found = shutil.which(name, path=path)
        if found and oldest <= _version(Path(found)) < below:
            return Path(found)

    def build(into: Path) -> None:
        _unpack(package, names, into, beside)
        finish(into)

    folder = fetch(f"{package}-{_release()}-{machine()}", build)
    program = _find(folder, names)
    version = _version(program)
    if not oldest <= version < below:
        wanted = f"{'.'.join(map(str, oldest))} or newer, before {'.'.join(map(str, below))}"
        has = ".".join(map(str, version)) or "none that runs"
        raise PartMissing(f"{package}: version {wanted} is needed, this release has {has}; put a fitting one on PATH")
    return program


def unpacked_folder(program: Path) -> Path | None:
    """Return the folder a program's package was unpacked into; None for one that is installed."""
    usr = next((folder for folder in program.parents if folder.name == "usr"), None)
    return usr.parent if usr and len(usr.parents) > 1 else None


def environment(program: Path) -> dict[str, str]:
    """Return the variables an unpacked program needs to find the libraries unpacked beside it."""
    folder = unpacked_folder(program)
    files = folder.rglob("*.so*") if folder else ()
    folders = {str(file.parent) for file in files if re.search(r"\.so(\.[\d.]+)?$", file.name)}
    return {"LD_LIBRARY_PATH": os.pathsep.join(sorted(folders))} if folders else {}


def _version(program: Path) -> Version:
    """Return the first version number a program prints of itself; empty when it doesn't run."""
    answer = subprocess.run(
        [program, "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment(program)},
    )
    match = re.search(r"\b(\d+(?:\.\d+)+)", answer.stdout + answer.stderr)
    return tuple(map(int, match[1].split("."))) if match and answer.returncode == 0 else ()


def _release() -> str:
    """Return the distribution's code name, as packages of one don't fit another: ``bookworm``."""
    try:
        text = Path("/etc/os-release").read_text()
    except FileNotFoundError:
        return "unknown"
    match = re.search(r'^VERSION_CODENAME="?([\w.-]+)', text, re.MULTILINE)
    return match[1] if match else "unknown"


def _find(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        for place in ("usr/lib/*", "usr/bin", "usr/sbin"):  # what is in usr/bin may only start what is in usr/lib
            for program in folder.glob(f"{place}/{name}"):
                return program
    raise PartMissing(f"{folder.name}: the package holds no program called {' or '.join(names)}")


def _unpack(package: str, names: Sequence[str], into: Path, beside: Sequence[str]) -> None:
    """Download and unpack packages, then the libraries it depends on as long as some are not found."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise PartMissing(
            f"{package}: {names[0]} is not on PATH, and this machine has no apt-get to download it with; "
            f"install {names[0]} with your system's package manager"
        )
    options = _download([package, *beside], package, into, ["-o", "APT::Sandbox::User=root"])
    known, fresh = {package}, [package]
    while missing := _missing_libraries(_find(into, names)):
        listed = run(["apt-cache", *options, "depends", *fresh], package, "see man apt-cache")
        needed = set(re.findall(r"^ +(?:Pre)?Depends: (lib[^\s<>:]+)", listed, re.MULTILINE)) - known
        fresh = sorted(name for name in needed if not _installed(name))
        if not fresh:
            raise PartMissing(f"{package}: no package brings {', '.join(missing)}; try: apt-get install {package}")
        known.update(fresh)
        _download(fresh, package, into, options)


def _download(packages: Sequence[str], part: str, into: Path, options: list[str]) -> list[str]:
    """Download and unpack packages and return apt's options that worked.

    When the machine's package lists are missing or outdated, lists of our own are fetched into the cache:
    that needs no root and leaves the machine as it is.
    """
    remedy = f"run as root: apt-get update, or: apt-get install {part}"
    try:
        run(["apt-get", *options, "download", *packages], part, remedy, cwd=into)
    except PartMissing:
        own = cache_dir() / "apt"
        for folder in (own / "lists" / "partial", own / "cache" / "archives" / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        options = [*options, "-o", f"Dir::State::lists={own / 'lists'}", "-o", f"Dir::Cache={own / 'cache'}"]
        say(f"{part}: the machine's package lists don't serve; fetching lists of our own")
        with lock("apt"):
            run(["apt-get", *options, "update"], part, remedy)
        run(["apt-get", *options, "download", *packages], part, remedy, cwd=into)
    for archive in into.glob("*.deb"):
        run(["dpkg-deb", "-x", archive, into], part, remedy)
        archive.unlink()
    return options


def _installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def _missing_libraries(program: Path) -> list[str]:
    """Return the shared libraries the loader doesn't find for a program, see ldd(1)."""
    listed = subprocess.run(
        ["ldd", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment(program)},
    )
    return re.findall(r"^\s*(\S+) => not found", listed.stdout, re.MULTILINE)
