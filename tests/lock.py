"""Writes the lock files: versions and hashes for every Python from 3.11 on, without download addresses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {
    "requirements.lock": ["pyproject.toml"],
    "requirements-dev.lock": ["--group", "dev", "pyproject.toml"],
    "requirements-docs.lock": ["--group", "docs"],  # without the exporter
}


def main() -> int:
    """Resolve anew; returns the exit code."""
    for name, extra in LOCKS.items():
        command = [
            "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
            "--no-emit-index-url", "--no-emit-find-links", "--no-strip-extras", "--no-header", "--no-annotate",
            *extra, "--output-file", name,
        ]  # fmt: skip
        subprocess.run([sys.executable, "-m", *command], check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
