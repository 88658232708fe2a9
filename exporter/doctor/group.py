"""A group of checks: what is declared once, in its module, and listed once, in `run.GROUPS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from exporter.doctor.context import DoctorContext, Options
from exporter.doctor.finding import Check, Finding

Found = Iterable[Finding | tuple[str | None, Finding]]
"""Findings, with the schema of the River they are about where they are about one."""

Needs = Literal["nothing", "primary"]
"""`primary`: a session on the primary, with River's tables. `nothing`: it is examined anyway, with a session if any."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of checks.

    Attributes:
        title: of its table in the documentation.
        examine: makes all of its findings; `doctor.session` is set where there is a session.
        before: reads what is compared with later, before the collectors run; `examine` finds it in `doctor.before`
            under the group's title.
        progress: what is shown on stderr while it runs; empty for nothing.
        wanted: whether the command line asks for it; None for a group that is always examined.
    """

    title: str
    checks: tuple[Check, ...]
    examine: Callable[[DoctorContext], Found]
    before: Callable[[DoctorContext], Any] | None = None
    needs: Needs = "primary"
    progress: str = ""
    wanted: Callable[[Options], bool] | None = None
