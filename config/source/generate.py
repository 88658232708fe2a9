"""Writes what the alerts' source makes: `python -m config.source.generate`; `--check` compares only.

- `config/alerts.yaml`: rules for a Prometheus server;
- `config/alerts_test.yaml`: their unit tests, for promtool;
- `exporter/doctor/rules.json`: names, severities and thresholds, for doctor;
- `helm/river-exporter/files/alerts.yaml`: the same rules with `${Alert.threshold}`, `${runbooks}` and `${grafana}` left
  in place, for the chart to replace; `alert-thresholds.yaml` beside it has the defaults, and `alertmanager.yaml` is a
  copy of config/alertmanager.yaml, as a chart can read no file outside its folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from config.source import cases, render
from config.source.source import Source, load

ROOT = Path(__file__).parents[2]
CHART = Path("helm/river-exporter/files")
ROUTES = ROOT / "config/alertmanager.yaml"


def outputs(source: Source) -> Mapping[Path, str]:
    """The text of every generated file, by its path below the project's folder."""
    return {
        Path("config/alerts.yaml"): render.rules(source, render.defaults(source)),
        Path("config/alerts_test.yaml"): cases.render(source),
        Path("exporter/doctor/rules.json"): render.doctor(source),
        CHART / "alerts.yaml": render.rules(source, render.placeholders(source)),
        CHART / "alert-thresholds.yaml": render.thresholds(source),
        CHART / "alertmanager.yaml": ROUTES.read_text(encoding="utf-8"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` name those that are not current; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.source.generate", description="Generate the alert rules.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, text in outputs(load()).items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"{path} is not current: run `make generate`", file=sys.stderr)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(path)
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
