"""Outages in which completions wait for a lock: never `ok` before one is committed again."""

from __future__ import annotations

import pytest

from tests.conftest import Database, StartRiver
from tests.outages import no_completion_no_ok


@pytest.mark.parametrize("fault", ["row-lock", "table-lock"])
def test_completions_behind_a_lock_are_never_ok(database: Database, river: StartRiver, fault: str) -> None:
    """From the 15th second on never `ok`, the cause right; `ok` again once completions are committed."""
    no_completion_no_ok(database, river, fault)
