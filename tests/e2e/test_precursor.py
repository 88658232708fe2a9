"""A short selection of the precursor benchmark: sudden stalls, provoked for real until River itself fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.bench.precursor import Result, run
from tests.bench.report import verdict
from tests.bench.scenarios import SCENARIOS

SELECTED = ("row lock, at once", "pool leaked, statistics unknown", "network black hole", "synchronous standby gone")
PAGED = "row lock, at once"


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Run the selection side by side; one of them has Prometheus and Alertmanager behind it."""
    chosen = {each.name: each for each in SCENARIOS}
    with ThreadPoolExecutor(len(SELECTED)) as pool:
        futures = {name: pool.submit(run, chosen[name], alerts=name == PAGED, resolve=0.0) for name in SELECTED}
        return {name: future.result() for name, future in futures.items()}


@pytest.mark.parametrize("name", SELECTED)
def test_a_sudden_stall_is_said_before_the_first_deadline_with_its_cause(results: dict[str, Result], name: str) -> None:
    """The ratio passes critical within 8 s, the cause is right, and nothing was said while all was well."""
    result = results[name]
    assert verdict(result) == []
    assert result.lead is not None
    assert result.lead > 0


def test_one_page_names_the_cause_before_the_third_attempt_is_lost(results: dict[str, Result]) -> None:
    """Scrapes and evaluations every 10 s: the page comes within 30 s of the stall's start."""
    result = results[PAGED]
    assert result.pages == 1, result.told
    assert result.paged is not None
    assert result.paged <= 30
    assert result.page_cause == "lock"
