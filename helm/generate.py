"""Makes what is written twice in the chart and the examples: `python -m helm.generate`, or `--check` to compare only.

- `values.schema.json`, from `values.schema.yaml`, the exporter's own configuration schema and the alerts' names;
- `files/`, copies of `dashboards/*.json` and `config/alertmanager.yaml`, since a chart can only read its own files;
- `examples/compose/`: the role's SQL, and `config/alertmanager.yaml` with receivers that send nothing;
- `README.md`, whose table follows helm-docs' convention: a comment that begins with ``# --`` describes the next key.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.config import schema
from exporter.postgres.role import render

HERE = Path(__file__).parent
CHART = HERE / "river-exporter"
DASHBOARDS = HERE.parent / "dashboards"
ALERTMANAGER = HERE.parent / "config" / "alertmanager.yaml"
COMPOSE = HERE.parent / "examples" / "compose"


def outputs() -> Mapping[Path, str]:
    """Return the text of every generated file, by its path."""
    dashboards = {CHART / "files" / "dashboards" / file.name: file.read_text() for file in DASHBOARDS.glob("*.json")}
    return {
        CHART / "values.schema.json": values_schema(),
        CHART / "README.md": readme(),
        CHART / "files" / "alertmanager.yaml": ALERTMANAGER.read_text(),
        COMPOSE / "role.sql": f"-- Made by `make generate`: what `river-exporter setup-sql` prints.\n{render()}",
        COMPOSE / "alertmanager.yaml": silent_alertmanager(),
        **dashboards,
    }


def silent_alertmanager() -> str:
    """Return our Alertmanager configuration with receivers that send nothing: its own pages show what would be sent."""
    config = yaml.safe_load(ALERTMANAGER.read_text())
    config["receivers"] = [{"name": each["name"]} for each in config["receivers"]]
    head = "# Made by `make generate`: config/alertmanager.yaml without what it sends; see http://127.0.0.1:9093.\n"
    return head + yaml.safe_dump(config, sort_keys=False, width=120)


def values_schema() -> str:
    """Return the JSON schema of the values."""
    made: dict[str, Any] = yaml.safe_load((HERE / "values.schema.yaml").read_text())
    own = schema()["$defs"]
    del own["Web"]["properties"]["listen_address"]  # that is `port`, which the container's port must be as well
    for definition in own.values():
        _forget_defaults(definition)
    alerts, console = _alerts(made["$defs"].pop("alert")), _console(made["$defs"]["address"])
    made["$defs"] |= own | {"alerts": alerts, "console": console}
    return json.dumps(made, indent=2) + "\n"


def _forget_defaults(definition: Any) -> None:
    """Take defaults out: the program has them, and a copy in each place would only be long."""
    for each in definition["properties"].values():
        each.pop("default", None)
    definition.pop("required", None)


def _console(address: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of PgBouncer's console: an address with another name for its login, the old one still taken."""
    made = copy.deepcopy(address)
    login = made["properties"]["user"]
    made["properties"] |= {"consoleUser": login, "user": login | {"deprecated": True}}
    return made


def _alerts(one: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of changes to alerts: the names there are, each with the thresholds it has."""
    rules = (CHART / "files" / "alerts.yaml").read_text()
    thresholds: dict[str, dict[str, float]] = yaml.safe_load((CHART / "files" / "alert-thresholds.yaml").read_text())
    properties = {}
    for name in sorted(set(re.findall(r"^ *- alert: (\w+)$", rules, re.MULTILINE))):
        properties[name] = copy.deepcopy(one)
        if names := thresholds.get(name):
            numbers = {threshold: {"type": "number"} for threshold in names}
            properties[name]["properties"]["thresholds"] = {
                "type": "object",
                "additionalProperties": False,
                "properties": numbers,
            }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def readme() -> str:
    """Return the chart's README: README.md.gotmpl with the chart's data and the table of values filled in."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    parts = {
        "chart.header": f"# {chart['name']}",
        "chart.description": chart["description"],
        "chart.versionBadge": f"Version {chart['version']}, for river-exporter {chart['appVersion']}.",
        "chart.valuesTable": values_table((CHART / "values.yaml").read_text()),
    }
    text = (CHART / "README.md.gotmpl").read_text()
    text = re.sub(r'{{ template "([\w.]+)" \. }}', lambda found: parts[found[1]], text)
    return re.sub(r'{{ "([^"]*)" }}', r"\1", text)


def values_table(text: str) -> str:
    """Return the table of all described values, as helm-docs would: key, type, default, description."""
    values = yaml.safe_load(text)
    lines = ["| Key | Type | Default | Description |", "|-----|------|---------|-------------|"]
    for key, description in descriptions(text):
        value: Any = values
        for name in key.split("."):
            value = value[name]
        default = json.dumps(value).replace("|", "\\|")
        lines.append(f"| {key} | {_type(value)} | `{default}` | {description} |")
    return "\n".join(lines)


def descriptions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each described key of a values file, dotted, with its description."""
    above: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"^ *# ?(.*)", line):
            if found[1].startswith("-- "):
                comment = [found[1].removeprefix("-- ")]
            elif comment:
                comment.append(found[1])
            continue
        if found := re.match(r"^( *)([\w.]+):", line):
            indent = len(found[1])
            above = [*((depth, name) for depth, name in above if depth < indent), (indent, found[2])]
            if comment:
                yield ".".join(name for _, name in above), " ".join(comment).replace("|", "\\|")
        comment = []


def _type(value: Any) -> str:
    names: dict[type, str] = {type(None): "int", bool: "bool", int: "int", str: "string", list: "list", dict: "object"}
    return names[type(value)]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` name those that are not current; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    check = parser.parse_args(arguments).check
    made = outputs()
    folder = CHART / "files" / "dashboards"
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    left = [path for path in folder.glob("*.json") if path not in made]
    for path in stale + left:
        shown = path.relative_to(HERE.parent)
        if check:
            print(f"{shown} is not current: run `make generate`", file=sys.stderr)
        elif path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path])
            print(shown)
        else:
            path.unlink()
            print(f"{shown} removed")
    return int(check and bool(stale + left))


if __name__ == "__main__":
    sys.exit(main())
