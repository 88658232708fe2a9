"""Where things stand: few modules beside the folders, one configuration key per collector, no query that is not run."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import exporter
from exporter.collectors.discovery import names
from exporter.config.model import Collectors

PACKAGE = Path(exporter.__file__).parent
MAX_MODULES = 8


@cache
def _texts(folder: Path) -> set[str]:
    """Every string in the folder's code: a query is named by one where it is run."""
    return {
        node.value
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_few_modules_stand_beside_the_folders() -> None:
    """What has a folder's topic belongs into it: a reader sees the rooms first."""
    modules = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert 2 <= len(modules) <= MAX_MODULES, modules


def test_every_collector_has_its_key_in_the_configuration() -> None:
    """And no key is left of a collector that is gone."""
    assert tuple(sorted(Collectors.__struct_fields__)) == tuple(sorted(names()))


def test_every_query_is_run_by_a_module_beside_it() -> None:
    """By its name, without the server's version; each stands in a folder that runs queries."""
    files = sorted(PACKAGE.rglob("*.sql"))
    unused = [
        str(path.relative_to(PACKAGE))
        for path in files
        if re.sub(r"(\.pg\d+)?\.sql$", "", path.name) not in _texts(path.parent)
    ]
    assert len(files) > 40
    assert unused == []


def test_every_variant_of_a_query_has_a_general_one() -> None:
    """Else an older server's run fails by a missing file."""
    variants = sorted(PACKAGE.rglob("*.pg*.sql"))
    lonely = [path.name for path in variants if not path.with_name(re.sub(r"\.pg\d+", "", path.name)).is_file()]
    assert len(variants) > 5
    assert lonely == []
