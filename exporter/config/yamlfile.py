"""A YAML file that knows on which line each of its keys stands, and names it in every error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.errors import ConfigError


@dataclass(frozen=True)
class YamlFile:
    """The parsed mapping of a file, and the line of each dotted key."""

    path: Path
    tree: dict[str, Any]
    lines: dict[str, int]

    @classmethod
    def read(cls, path: Path, what: str, *, texts: bool = False) -> YamlFile:
        """Read and parse `path`; an empty file is an empty mapping.

        Args:
            what: what the file is to a reader, for example "configuration file".
            texts: leave every scalar the text that the file has, whatever YAML would make of it.

        Raises:
            ConfigError: unreadable, no YAML, no mapping, or a key that stands twice; no content is quoted.
        """
        loader: Any = yaml.BaseLoader if texts else yaml.SafeLoader
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=loader)
            lines = dict(_positions(root, "", path))
            tree = yaml.load(text, Loader=loader)  # noqa: S506 - both loaders make plain values only
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the {what}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: cannot read the {what}: it is not UTF-8") from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem}") from None
        except (yaml.YAMLError, RecursionError):
            raise ConfigError(f"{path}: not valid YAML") from None
        if not isinstance(tree, dict) and root is not None:
            raise ConfigError(f"{path}:1: a {what} is a mapping of keys")
        return cls(path, tree or {}, lines)

    def where(self, key: str) -> str:
        """`file:line: ` of a dotted key, or of the nearest one above it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}: " if key else f"{self.path}: "


def _positions(node: yaml.Node | None, prefix: str, path: Path) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for name, value in node.value:
        key, line = f"{prefix}{name.value}", name.start_mark.line + 1
        if key in seen:
            raise ConfigError(f"{path}:{line}: {key} stands twice; keep one")
        seen.add(key)
        yield key, line
        yield from _positions(value, f"{key}.", path)
