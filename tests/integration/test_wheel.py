"""The wheel holds the package and nothing else, and works without the repository around it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli.main import _parser

ROOT = Path(__file__).parents[2]
MAX_BYTES = 400_000

COMMANDS = [
    (["--version"], __version__),
    (["--help"], "usage: river-exporter"),
    (["check-config"], "is valid; in force"),
    (["check-config", "--help"], "usage: river-exporter check-config"),
    (["setup-sql"], "create role"),
    (["setup-sql", "--schema", "other", "--replicas", "2"], "other"),
    (["doctor", "--help"], "usage: river-exporter doctor"),
    (["completion", "bash"], "complete "),
]


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has the wheel's package, and only the dependencies from the one of the tests."""

    wheel: Path
    folder: Path

    @property
    def package(self) -> Path:
        """Where the package was installed to."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command of the environment in an empty folder; returns its output."""
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=empty,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel as a release does, and install it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", folder, ROOT], check=True, timeout=200)
    (wheel,) = folder.glob("*.whl")
    made = Installed(wheel, folder / "venv")
    venv.create(made.folder, with_pip=False)
    subprocess.run(
        [*pip, "--python", made.folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel],
        check=True,
        timeout=200,
    )
    # a folder that a .pth file names is searched last, and its own .pth files, one of which leads to this repository,
    # are not read: the package can only be the wheel's
    (made.package / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return made


def test_the_package_of_the_wheel_is_the_one_that_runs(installed: Installed) -> None:
    """Else the other tests here would try the repository."""
    found = installed.run("python", "-c", "import exporter; print(exporter.__file__)").strip()
    assert Path(found) == installed.package / "exporter" / "__init__.py"


def test_the_wheel_holds_the_whole_package_and_nothing_else(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """No tests, documents or demo; every module, query and page of the repository's package."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    metadata = f"river_exporter-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"exporter", metadata}
    assert not [name for name in names if {"tests", "docs", "demo", "testbed"} & set(name.split("/"))]
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("exporter/")} == package
    size, modules = installed.wheel.stat().st_size, sum(name.endswith(".py") for name in package)
    with capsys.disabled():
        print(f"\n{installed.wheel.name}: {size} bytes, {modules} modules, {len(names)} files")
    assert size <= MAX_BYTES
    assert modules > 100


def test_every_module_of_the_wheel_can_be_imported(installed: Installed) -> None:
    """None needs a file that only the repository has."""
    code = (
        "import importlib, pkgutil, exporter\n"
        "names = [each.name for each in pkgutil.walk_packages(exporter.__path__, 'exporter.')]\n"
        "[importlib.import_module(name) for name in names if not name.endswith('__main__')]\n"
        "print(len(names))"
    )
    assert int(installed.run("python", "-W", "error", "-c", code)) > 100


@pytest.mark.parametrize(
    ("arguments", "prints"), COMMANDS, ids=lambda each: " ".join(each) if isinstance(each, list) else ""
)
def test_every_command_works_from_the_wheel(installed: Installed, arguments: list[str], prints: str) -> None:
    """As a command and as a module."""
    text = installed.run("river-exporter", *arguments)
    assert prints in text
    assert installed.run("python", "-m", "exporter", *arguments) == text


def test_every_subcommand_is_tried_here() -> None:
    """The list above is the parser's."""
    (subcommands,) = [each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction)]
    assert {arguments[0] for arguments, _ in COMMANDS if not arguments[0].startswith("-")} == set(subcommands.choices)


def test_the_exporter_starts_from_the_wheel_and_says_what_is_missing(installed: Installed) -> None:
    """Without an address it ends with 2; everything it is made of was imported by then."""
    installed.run("river-exporter", code=2)


def test_the_wheel_names_its_dependencies(installed: Installed) -> None:
    """Those of the project, as an installation from an index would get them."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    code = "import importlib.metadata; print(*importlib.metadata.requires('river-exporter'), sep='\\n')"
    found = installed.run("python", "-c", code).splitlines()
    assert sorted(each.replace(" ", "") for each in found) == sorted(declared)
