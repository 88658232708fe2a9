"""Outages in which nothing is left to measure: doctor's first line names the state, never ok, and does no harm."""

from __future__ import annotations

import time

import pytest

from exporter.doctor.report import Examination
from tests import remedies
from tests.conftest import Database, StartRiver
from tests.integration.test_doctor import completed, configuration
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for
from tests.testbed.river import River

OUTAGES = {
    "sync-standby": ("synchronous-standby", 25.0),
    "check-constraint": ("constraints", 20.0),
    "raising-trigger": ("triggers", 20.0),
    "row-lock": ("locks", 15.0),
    "pool-exhausted": ("pool-free", 12.0),
}
"""Outages by name: the check that holds the remedy, and seconds into the outage at which doctor is asked.

The commits that wait for a standby hold River's whole pool after about 15 s: no completing statement is in flight then.
"""


@pytest.fixture
def worker(river: StartRiver, database: Database) -> River:
    """Return a River that works well: 20 workers, 50 jobs/s of 250 ms."""
    worker = river(rate=50, job_seconds=0.25, workers=20, pool=25)
    wait_for(lambda: completed(database) > 50, 30, "jobs to complete")
    return worker


def text(found: Examination) -> str:
    """Everything that is said."""
    return "\n".join(
        [found.conclusions[0].sentence]
        + [line for each in found.findings for line in (each.summary, *each.evidence, each.remedy, each.sql)]
    )


@pytest.mark.parametrize("name", OUTAGES)
def test_first_line_names_the_state_of_an_outage(name: str, database: Database, worker: River) -> None:
    """Workers are not counted from what piles up, no job is called orphaned, and no session of River's is ended."""
    check, after = OUTAGES[name]
    with FAULTS[name](Environment(database.superuser_url, worker)):
        time.sleep(after)
        environment = configuration(database.exporter_url, worker)
        del environment["RIVER_EXPORTER_RIVER_WORKERS"]
        found = remedies.examined(environment)
    first = found.conclusions[0]
    assert first.state in ("stalled", "failing"), first
    assert first.sentence.startswith(f"{first.state}: no completion")
    assert first.leading is not None
    assert first.leading.check == found.ordered[0].check == check
    assert found.exit_code == 2
    said = text(found)
    assert "client gone" not in said
    assert "pool_max_conns" not in said
    assert "_backend(" not in said or name == "row-lock"
