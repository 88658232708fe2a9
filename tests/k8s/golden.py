"""What the chart renders for each value file, as it was reviewed: ``python -m tests.k8s.golden`` writes it anew."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.k8s import helm


def documents(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a rendered chart with the template each comes from."""
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        source = re.search(r"^# Source: [^/]+/(.+)$", part, re.MULTILINE)
        for each in yaml.load_all(part, Loader=yaml.CSafeLoader):
            if each:
                yield source[1] if source else "", each


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as people do."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dump(value: dict[str, Any]) -> str:
    """Return an object as YAML that people read."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def shortened(each: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what is generated elsewhere: dashboards, expressions and texts of alerts."""
    for key in each.get("data", {}):
        if key.endswith(".json"):
            each["data"][key] = f"what dashboards/{key} has"
    if each["kind"] == "PrometheusRule":
        for group in each["spec"]["groups"]:
            group["rules"] = [_tiers(rule) for rule in group["rules"] if "alert" in rule]
    return each


def _tiers(rule: dict[str, Any]) -> str:
    labels = " ".join(f"{name}={value}" for name, value in sorted(rule["labels"].items()))
    kept = rule.get("keep_firing_for", "0s")
    return f"{rule['alert']} {labels} for {rule['for']} kept {kept}"


def reviewed(values: Path) -> Path:
    """Return the golden file of a value file: of the same name, of an example by its folder's."""
    return helm.GOLDEN / (f"{values.parent.name}.yaml" if values == helm.STACK else values.name)


def golden(values: Path, program: Path) -> str:
    """Render one value file into the text that is reviewed."""
    lines = [f"# helm template monitor helm/river-exporter --namespace apps --values {values.name}"]
    for source, each in documents(helm.template(program, [values])):
        lines.append(f"---\n# {source}\n{dump(shortened(each)).rstrip()}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the golden file of each value file, and remove those without one."""
    helm.GOLDEN.mkdir(exist_ok=True)
    made = {reviewed(values): values for values in helm.VALUE_FILES}
    for file in set(helm.GOLDEN.glob("*.yaml")) - set(made):
        file.unlink()
    for file, values in made.items():
        file.write_text(golden(values, helm.helm_3()))


if __name__ == "__main__":
    main()
