"""Grafana's own types as a JSON schema, made from npm's packages: what Grafana publishes checks what we generate.

`@grafana/schema` has TypeScript declarations only; `ts-json-schema-generator` makes a JSON schema of them that refuses
properties it doesn't know. Overrides, which Grafana types as anything, are checked by `override_errors`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft7Validator

from tests.preview.fill import panels
from tests.testbed.cache import fetch, run

GENERATOR = "ts-json-schema-generator@2.4.0"
Version = Literal["11.0.0", "13.2.3"]
"""The oldest Grafana that the dashboards are for, and the newest."""

PACKAGES = {
    "bargauge": "BarGauge",
    "heatmap": "Heatmap",
    "stat": "Stat",
    "statetimeline": "StateTimeline",
    "table": "Table",
    "timeseries": "TimeSeries",
}
SOURCE = Path(__file__).with_name("dashboard.ts")
REMEDY = "install Node.js with npm and check that it reaches its registry: npm view @grafana/schema"


@cache
def schema(version: Version) -> dict[str, Any]:
    """Return the JSON schema of a dashboard in that version of Grafana.

    Raises:
        PartMissing: npm's packages can't be had, or the types don't fit `dashboard.ts`.
    """
    source = _source(version)
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    folder = fetch(f"grafana-schema-{version}-{digest}", lambda folder: _make(folder, version, source))
    made: dict[str, Any] = json.loads((folder / "schema.json").read_text())
    return made


def errors(version: Version, document: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with a dashboard: where, and why. Grafana 11 overlooks what only later versions know."""
    validator = Draft7Validator(schema(version) if version != "11.0.0" else _open(schema(version)))
    model = {name: value for name, value in document.items() if not name.startswith("__")}  # of the import, not of it
    for error in validator.iter_errors(model):
        yield from _reasons(error, document)


def override_errors(version: Version, document: dict[str, Any]) -> Iterator[str]:
    """Say which override sets a property that its kind of panel doesn't have, or gives it a wrong value."""
    kinds = {
        kind["properties"]["type"]["const"]: kind for kind in schema(version)["properties"]["panels"]["items"]["anyOf"]
    }
    for panel in panels(document):
        fields = kinds[panel["type"]]["properties"]["fieldConfig"]["properties"]["defaults"]["properties"]
        for override in panel["fieldConfig"]["overrides"]:
            for item in override["properties"]:
                known = fields
                name = item["id"]
                if name.startswith("custom."):
                    known, name = fields["custom"]["properties"], name.removeprefix("custom.")
                if name not in known:
                    yield f"{panel['title']}: an override sets {item['id']}, which {panel['type']} doesn't have"
                    continue
                for error in Draft7Validator(known[name]).iter_errors(item["value"]):
                    yield f"{panel['title']}: override {item['id']}: {error.message}"


def _reasons(error: Any, document: dict[str, Any]) -> Iterator[str]:
    """Of a panel that fits no kind, say why it doesn't fit its own."""
    path = list(error.absolute_path)
    if path[:1] == ["panels"] and len(path) == 2 and error.context:
        panel = document["panels"][path[1]]
        wrong = [each for each in error.context if list(each.relative_path) == ["type"]]
        others = {each.schema_path[0] for each in wrong}
        own = [each for each in error.context if each.schema_path[0] not in others]
        for each in own or [error]:
            yield f"{panel.get('title')}: {'.'.join(map(str, each.relative_path))}: {each.message[:200]}"
    else:
        yield f"{'.'.join(map(str, path))}: {error.message[:200]}"


def _open(part: Any) -> Any:
    """Let objects have properties that the schema doesn't know."""
    if isinstance(part, dict):
        return {
            key: _open(value) for key, value in part.items() if not (key == "additionalProperties" and value is False)
        }
    return [_open(each) for each in part] if isinstance(part, list) else part


def _make(folder: Path, version: Version, source: str) -> None:
    """Install npm's packages and keep what the generator makes of them."""
    (folder / "package.json").write_text('{"private": true}')
    options = {"strict": True, "skipLibCheck": True, "module": "esnext", "moduleResolution": "node", "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["dashboard.ts"]}))
    (folder / "dashboard.ts").write_text(source)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--omit=optional"]
    packages = [GENERATOR, f"@grafana/schema@{version}"]
    run(["npm", "install", *quiet, *packages], f"types of Grafana {version}", REMEDY, cwd=folder)
    generator = folder / "node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js"
    chosen = ["--tsconfig", "tsconfig.json", "--path", "dashboard.ts", "--type", "Dashboard"]
    plain = ["--no-type-check", "--expose", "none", "--no-top-ref"]
    text = run(["node", generator, *chosen, *plain], f"JSON schema of Grafana {version}", REMEDY, cwd=folder)
    (folder / "schema.json").write_text(text)
    shutil.rmtree(folder / "node_modules")


def _source(version: Version) -> str:
    """Fill in where that version keeps its types."""
    old = version.startswith("11.")
    raw = f"./node_modules/@grafana/schema/dist/{'esm' if old else 'types'}/raw"
    text = SOURCE.read_text().replace("RAW/dashboard", f"{raw}/dashboard/x/{'dashboard_' if old else ''}types.gen")
    for name, title in PACKAGES.items():
        file = f"{title}PanelCfg_types.gen" if old else "types.gen"
        text = text.replace(f"RAW/{name}'", f"{raw}/composable/{name}/panelcfg/x/{file}'")
    return text
