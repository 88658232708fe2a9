"""`python -m tests.demo`, which `make demo` runs."""

from __future__ import annotations

import argparse
import sys

from exporter.errors import ExporterError
from tests.demo.show import show


def main() -> int:
    """Run the demonstration: a live view on a terminal, lines elsewhere; returns the exit code."""
    parser = argparse.ArgumentParser("make demo", description="A live demonstration with a real River and PostgreSQL.")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds, counted from when all is up")
    try:
        return show(parser.parse_args().seconds)
    except ExporterError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
