"""What was built: the package's version, and the revision and branch that the image was built of."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from functools import cache
from importlib import resources

from exporter import __version__

FILE = "build.json"
"""Written beside this module when the image is built; a checkout and a wheel have none."""


@dataclass(frozen=True, slots=True)
class Build:
    """As the programs of Prometheus describe theirs; what is not known is `unknown`."""

    version: str
    revision: str
    branch: str
    pythonversion: str

    def __str__(self) -> str:
        system = f"{platform.system().lower()}/{platform.machine()}"
        return (
            f"river-exporter, version {self.version} (branch: {self.branch}, revision: {self.revision})\n"
            f"  python version:   {self.pythonversion}\n"
            f"  platform:         {system}"
        )


@cache
def build() -> Build:
    """What runs."""
    file = resources.files("exporter").joinpath(FILE)
    found = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    revision, branch = (found.get(name) or "unknown" for name in ("revision", "branch"))
    return Build(__version__, revision, branch, platform.python_version())
