"""River's own source, from its Go modules and its crate, for tests that compare what we know of River with River."""

import json
import re
import tomllib
from pathlib import Path

from tests.testbed.cache import cache_dir, cargo, go, run
from tests.testbed.river import RUST_SOURCES

DRIVER = "github.com/riverqueue/river/riverdriver/riverpgxv5"

_STATEMENT = re.compile(r'= ((?:`[^`]*`|"[^"\n]*"|\s*\+\s*)+)')
_PIECE = re.compile(r'`([^`]*)`|"([^"\n]*)"')


def module(path: str, version: str) -> Path:
    """Return the folder of a Go module's source, downloading it at the first call.

    Raises:
        PartMissing: Go isn't to be had, or the module isn't.
    """
    remedy = f"check that Go reaches its module proxy: go mod download {path}@{version}"
    answer = run([go(), "mod", "download", "-json", f"{path}@{version}"], path, remedy, cwd=cache_dir())
    return Path(json.loads(answer)["Dir"])


def crate(name: str) -> Path:
    """Return the folder of a crate's source, of the version that the Rust worker is locked to.

    Raises:
        PartMissing: Rust isn't there or is too old, or the crate can't be had.
    """
    manifest = RUST_SOURCES / "Cargo.toml"
    command = cargo(tomllib.loads(manifest.read_text())["package"]["rust-version"])
    options = ["metadata", "--locked", "--quiet", "--format-version", "1", "--manifest-path", str(manifest)]
    answer = json.loads(run([command, *options], name, "check that cargo reaches its registry: cargo fetch"))
    (found,) = (package for package in answer["packages"] if package["name"] == name)
    return Path(found["manifest_path"]).parent


def statements(version: str, driver: str = DRIVER) -> dict[str, str]:
    """Return the statements in a River driver's Go code by their sqlc name, templates unfilled."""
    found = {}
    for file in sorted(module(driver, version).rglob("*.go")):
        for constant in _STATEMENT.finditer(file.read_text()):
            text = "".join(raw or plain for raw, plain in _PIECE.findall(constant[1]))
            name = re.match(r"-- name: (\w+) ", text)
            if name:
                found[name[1]] = text
    return found
