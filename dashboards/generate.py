"""Writes the dashboards' JSON: `python -m dashboards.generate`, or `--check` to only compare."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.frame import UIDS

FOLDER = Path(__file__).parent


def render(name: str) -> str:
    """Make the JSON of the dashboard of a module."""
    made: Dashboard = importlib.import_module(f"dashboards.{name}").dashboard()
    document = json.loads(json.dumps(made, cls=JSONEncoder))
    return json.dumps({**_imported(document), **document}, indent=2, ensure_ascii=False) + "\n"


def _imported(document: dict[str, Any]) -> dict[str, Any]:
    """What Grafana's import from a file reads: what is required, and no input, as a variable is the data source."""
    rows = [panel for panel in document["panels"] if panel["type"] == "row"]
    panels = [*document["panels"], *(panel for row in rows for panel in row["panels"])]
    kinds = sorted({panel["type"] for panel in panels} - {"row"})
    required = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds),
    ]
    return {"__inputs": [], "__elements": {}, "__requires": required}


def generate() -> dict[Path, str]:
    """Make every file, by path."""
    return {FOLDER / f"{uid}.json": render(name) for name, uid in UIDS.items()}


def drift() -> list[str]:
    """Name the files that are not what the modules would make, or that no module makes."""
    files = generate()
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text() != text]
    return stale + [path.name for path in FOLDER.glob("*.json") if path not in files]


def main() -> int:
    """Write the files that differ, or say which do."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file would change")
    if parser.parse_args().check:
        stale = drift()
        if stale:
            print(f"not up to date, run make generate: {', '.join(stale)}", file=sys.stderr)
        return bool(stale)
    for path, text in generate().items():
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
