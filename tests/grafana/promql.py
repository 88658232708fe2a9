"""Looks into PromQL as far as our checks need: which series are selected, inside which functions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

OPENING = re.compile(r"(?:(\w+)\s*)?(?:(?:by|without)\s*\(([^)]*)\)\s*)?\($")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{((?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """A function or an aggregation around a selector, with what it groups by."""

    name: str
    by: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """A selector: its metric, its matchers as (label, operator, value), the calls around it from the outermost in."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    calls: tuple[Call, ...]

    @property
    def pinned(self) -> set[str]:
        """Labels that can only have one value."""
        return {label for label, operator, _ in self.matchers if operator == "="}


def selections(expr: str) -> Iterator[Selection]:
    """Every selector of an expression; ours always have braces."""
    selectors = {match.start(): match for match in SELECTOR.finditer(expr)}
    stack: list[Call] = []
    position = 0
    while position < len(expr):
        match = selectors.get(position)
        if match:
            yield Selection(match[1], tuple(MATCHER.findall(match[2])), tuple(stack))
            position = match.end()
            continue
        if expr[position] == "(":
            stack.append(_call(expr[: position + 1]))
        elif expr[position] == ")":
            stack.pop()
        position += 1


def _call(before: str) -> Call:
    """The call that a bracket opens; `by (…)` and `on (…)` open none."""
    match = OPENING.search(before)
    name, by = (match[1] or "", match[2] or "") if match else ("", "")
    if name in ("by", "on", "group_left", "ignoring", "and", "or", "unless"):
        name = ""
    return Call(name, tuple(label.strip() for label in by.split(",") if label.strip()))
