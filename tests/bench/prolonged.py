"""Faults that last: is the state ever `ok` while no completion is committed, is the cause right, does the page stay?

`python -m tests.bench.prolonged --minutes 10` holds each fault for so long and writes docs/prolonged.md; names select a
few. A page that is resolved must mean that completions came.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from exporter.budget.state import CompleterState
from tests.bench.chain import Chain
from tests.bench.scenarios import Scenario, Scene, scene
from tests.testbed.cache import say
from tests.testbed.exporter import Metrics
from tests.testbed.faults import FAULTS

GRACE = 15.0
"""Seconds after a fault's begin from which the state must not be `ok`."""

RECOVERY = 60.0
"""Seconds that the state may take to be `ok` again once the fault is lifted."""

RESOLVE = 7 * 60.0
"""Seconds that the page may take to resolve after that: the rules keep it firing for five minutes."""

PAGE = Path("docs") / "prolonged.md"

HELD = 3600.0

SCENARIOS = (
    Scenario("check constraint", "check-constraint", "refused", HELD, HELD),
    Scenario("trigger that raises", "raising-trigger", "refused", HELD, HELD),
    Scenario("server read-only", "read-only", "refused", HELD, HELD),
    Scenario("check constraint, River 0.16", "check-constraint", "refused", HELD, HELD, version="0.16"),
    Scenario("synchronous standby gone", "sync-standby", "storage", HELD, HELD),
    Scenario("synchronous standby gone, River 0.16", "sync-standby", "storage", HELD, HELD, version="0.16"),
    Scenario("row lock", "row-lock", "lock", HELD, HELD),
    Scenario("LOCK TABLE", "table-lock", "lock", HELD, HELD),
    Scenario("ALTER TABLE behind an idle reader", "ddl", "lock", HELD, HELD),
    Scenario("pool leaked, statistics known", "pool-exhausted", "pool", 10, 10, pool_statistics=True),
    Scenario("pool leaked, statistics unknown", "pool-exhausted", "pool", 10, 10),
    Scenario("network black hole", "black-hole", "network", HELD, HELD, through="proxy"),
    Scenario("slow trigger", "slow-statement", "execution", HELD, HELD),
)


@dataclass
class Record:
    """What one fault showed; seconds."""

    scenario: Scenario
    states: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    recovered: float | None = None
    pages: int = 0
    resolved_early: bool = False
    resolved: float | None = None
    error: str = ""

    def add(self, metrics: Metrics) -> None:
        """Take one scrape."""
        self.states.append(state(metrics))
        self.causes.append(",".join(each.labels["cause"] for each in metrics.samples("river_completer_cause")))

    def wrong(self) -> list[str]:
        """What must not be; empty when all is well."""
        found = [self.error] if self.error else []
        late = self.states
        if "ok" in late:
            found.append(f"ok in {late.count('ok')} of {len(late)} samples")
        others = {each for each in self.causes if each not in (self.scenario.cause, "unknown")}
        if others:
            found.append(f"named {', '.join(sorted(each or 'nothing' for each in others))}")
        if self.pages != 1:
            found.append(f"{self.pages} pages")
        if self.resolved_early:
            found.append("the page resolved while the fault lasted")
        if self.recovered is None:
            found.append(f"not ok within {RECOVERY:.0f} s after the fault")
        return found


def state(metrics: Metrics) -> str:
    """The state that is 1."""
    found = [each.value for each in CompleterState if metrics.total("river_completer_state", state=each.value) == 1]
    return found[0] if len(found) == 1 else "none" if not found else "several"


def run(scenario: Scenario, minutes: float) -> Record:
    """Provoke one fault and follow it to its end."""
    record = Record(scenario)
    try:
        with scene(scenario) as place, Chain.beside(place.exporter, wanted=True) as chain:
            _follow(place, chain, record, minutes * 60)
    except Exception as error:
        record.error = f"{type(error).__name__}: {error}"
    say(f"{scenario.name}: {'; '.join(record.wrong()) or 'as it should be'}")
    return record


def _follow(place: Scene, chain: Chain, record: Record, seconds: float) -> None:
    _until_ok(place, 60)
    with FAULTS[record.scenario.fault](place.environment, record.scenario.end):
        began = time.monotonic()
        time.sleep(GRACE)
        while time.monotonic() - began < seconds:
            record.add(place.exporter.metrics())
            time.sleep(1)
        record.pages = len(chain.pages())
        record.resolved_early = bool(chain.pages()) and not chain.firing()
    record.recovered = _until_ok(place, RECOVERY)
    lifted, ends = time.monotonic(), time.monotonic() + RESOLVE
    while chain.firing() and time.monotonic() < ends:
        time.sleep(1)
    record.resolved = None if chain.firing() else time.monotonic() - lifted
    record.pages = len(chain.pages())


def _until_ok(place: Scene, patience: float) -> float | None:
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if state(place.exporter.metrics()) == "ok":
            return time.monotonic() - began
        time.sleep(0.5)
    return None


def page(records: Sequence[Record], minutes: float) -> str:
    """The page in Markdown."""
    made = f"`python -m tests.bench.prolonged --minutes {minutes:g}` on {datetime.now(UTC):%Y-%m-%d}"
    columns = (
        "fault", "samples", "`ok` among them", "states", "cause right", "cause `unknown`", "pages", "`ok` again after",
        "page resolved after",
    )  # fmt: skip
    lines = [
        "# Faults that last",
        "",
        f"Each fault held for {minutes:g} min on a real River and PostgreSQL 18, with Prometheus and Alertmanager",
        f"beside the exporter; one sample a second from the {GRACE:.0f}th second on. Made by {made}.",
        "",
        f"| {' | '.join(columns)} |",
        "| --- " * len(columns) + "|",
    ]
    for each in records:
        count, total = Counter(each.states), max(1, len(each.states))
        states = ", ".join(f"{name} {number * 100 / total:.0f} %" for name, number in count.most_common())
        right = each.causes.count(each.scenario.cause) * 100 / total
        unknown = each.causes.count("unknown") * 100 / total
        lines.append(
            f"| {each.scenario.name} | {len(each.states)} | {count['ok']} | {states} | {right:.0f} % | {unknown:.0f} % "
            f"| {each.pages} | {_seconds(each.recovered)} | {_seconds(each.resolved)} |"
        )
    wrong = [f"- {each.scenario.name}: {'; '.join(each.wrong())}" for each in records if each.wrong()]
    lines += ["", "Not as it should be:" if wrong else "All as it should be.", "", *wrong]
    return "\n".join(lines).rstrip() + "\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 1 where something was not as it should be."""
    parser = argparse.ArgumentParser("prolonged", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of scenarios' names; all without")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beside", type=int, default=4, help="faults at the same time")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    chosen = [each for each in SCENARIOS if not given.names or any(name in each.name for name in given.names)]
    with ThreadPoolExecutor(given.beside) as pool:
        records = list(pool.map(lambda each: run(each, given.minutes), chosen))
    given.page.write_text(page(records, given.minutes), encoding="utf-8")
    return int(any(each.wrong() for each in records))


if __name__ == "__main__":
    sys.exit(main())
