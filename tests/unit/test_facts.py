"""Each constant of River's stands in River's source as we have it, in the oldest and the newest version."""

import re
from pathlib import Path

import pytest

from exporter.river import facts
from exporter.river.operations import OPERATIONS
from exporter.river.rust import RUST
from tests.testbed.river_source import DRIVER, crate, module

RIVER = "github.com/riverqueue/river"
COMPLETER = "internal/jobcompleter/job_completer.go"
ELECTOR = "internal/leadership/elector.go"
MAINTENANCE = "internal/maintenance"

OLD, NEW = "v0.16.0", "v0.51.1"
BOTH = (OLD, NEW)

UNITS = {"Millisecond": 0.001, "Second": 1.0, "Minute": 60.0, "Hour": 3600.0}


def source(version: str, place: str) -> str:
    """The text of a Go file below River's module, or of all files of a folder; `rivershared` is its own module."""
    path, _, below = place.partition(":")
    folder = module(f"{RIVER}/{path}" if below else RIVER, version) / (below or path)
    files = sorted(folder.glob("*.go")) if folder.is_dir() else [folder]
    return "\n".join(file.read_text() for file in files if not file.name.endswith("_test.go"))


def number(text: str, pattern: str) -> float:
    """Evaluate what stands behind a pattern in Go: ``20_000``, ``time.Hour``, ``7 * 24 * time.Hour``."""
    found = re.search(pattern + r"\s*((?:[\d_]+|time\.\w+)(?: \* (?:[\d_]+|time\.\w+))*)", text)
    assert found, f"{pattern} is not in the source"
    value = 1.0
    for factor in found[1].split(" * "):
        value *= UNITS[factor[5:]] if factor.startswith("time.") else float(factor.replace("_", ""))
    return value


@pytest.mark.parametrize(
    ("fact", "versions", "place", "pattern"),
    [
        (facts.HOT_OPERATION_TIMEOUT, [OLD], COMPLETER, r"const timeout ="),
        (facts.HOT_OPERATION_TIMEOUT, [NEW], "internal/rivercommon", r"HotOperationTimeout ="),
        (facts.COMPLETER_ATTEMPTS, BOTH, COMPLETER, r"numRetries ="),
        (facts.COMPLETER_TICK, BOTH, COMPLETER, r"time.NewTicker\("),
        (facts.COMPLETER_INTERVAL / facts.COMPLETER_TICK, BOTH, COMPLETER, r"numTicks%"),
        (facts.COMPLETER_BATCH_START, BOTH, COMPLETER, r"batchCompleterStartThreshold ="),
        (facts.COMPLETER_BATCH_SIZE, BOTH, COMPLETER, r"completionMaxSize +="),
        (facts.BACKLOG_WARNING, BOTH, COMPLETER, r"maxBacklog +="),
        (facts.BACKLOG_PRESSURE / facts.COMPLETER_BATCH_SIZE, [NEW], COMPLETER, r"= completionMaxSize \*"),
        (facts.ELECT_INTERVAL, BOTH, ELECTOR, r"electIntervalDefault +="),
        (facts.ELECT_TIMEOUT, BOTH, ELECTOR, r"deadlineTimeout ="),
        (facts.LEADER_TTL - facts.ELECT_INTERVAL, BOTH, ELECTOR, r"electIntervalTTLPaddingDefault +="),
        (facts.MAINTENANCE["cleaner"].interval, [OLD], MAINTENANCE, r"JobCleanerIntervalDefault +="),
        (
            facts.MAINTENANCE["cleaner"].interval,
            [NEW],
            "rivershared:riversharedmaintenance",
            r"JobCleanerIntervalDefault +=",
        ),
        (facts.MAINTENANCE["queue_cleaner"].interval, BOTH, MAINTENANCE, r"queueCleanerIntervalDefault +="),
        (facts.MAINTENANCE["rescuer"].interval, BOTH, MAINTENANCE, r"JobRescuerIntervalDefault +="),
        (facts.MAINTENANCE["scheduler"].interval, BOTH, MAINTENANCE, r"JobSchedulerIntervalDefault +="),
        (facts.MAINTENANCE["reindexer"].interval, BOTH, MAINTENANCE, r"return t\.Add\("),
        (facts.RESCUE_AFTER, BOTH, MAINTENANCE, r"JobRescuerRescueAfterDefault +="),
        (facts.REINDEX_TIMEOUT, [NEW], MAINTENANCE, r"ReindexerTimeoutDefault +="),
        (facts.RETENTION["cancelled"], [OLD], MAINTENANCE, r"CancelledJobRetentionPeriodDefault +="),
        (facts.RETENTION["completed"], [OLD], MAINTENANCE, r"CompletedJobRetentionPeriodDefault +="),
        (facts.RETENTION["discarded"], [OLD], MAINTENANCE, r"DiscardedJobRetentionPeriodDefault +="),
    ],
)
def test_a_constant_is_rivers(fact: float, versions: list[str], place: str, pattern: str) -> None:
    """Its value is what River's source says behind the pattern."""
    for version in versions:
        assert number(source(version, place), pattern) == pytest.approx(fact), version


@pytest.mark.parametrize(("version", "begins"), [("v0.23.1", True), ("v0.24.0", False)])
def test_the_completer_stopped_to_wrap_its_statement(version: str, begins: bool) -> None:
    """The version before `NO_TRANSACTION_SINCE` begins a transaction."""
    assert ("exec.Begin(" in source(version, COMPLETER)) is begins
    assert (_minor(version) < facts.NO_TRANSACTION_SINCE) is begins


@pytest.mark.parametrize(("version", "requeues"), [("v0.39.0", False), ("v0.40.0", True)])
def test_a_batch_given_up_is_put_back(version: str, requeues: bool) -> None:
    """The version before `REQUEUES_SINCE` loses it."""
    assert ("requeueBatch" in source(version, COMPLETER)) is requeues
    assert (_minor(version) >= facts.REQUEUES_SINCE) is requeues


@pytest.mark.parametrize(
    ("fact", "pattern"),
    [
        (RUST.completer.timeout, r"const HOT_OPERATION_TIMEOUT: Duration = Duration::from_secs\((\d+)\)"),
        (RUST.completer.attempts, r"const COMPLETION_RETRY_ATTEMPTS: u32 = (\d+)"),
        (RUST.completer.batch, r"const COMPLETION_BATCH_SIZE: usize = ([\d_]+)"),
        (RUST.completer.at_once, r"const COMPLETION_POSTGRES_CONCURRENCY: usize = (\d+)"),
    ],
)
def test_a_constant_is_river_for_rusts(fact: float, pattern: str) -> None:
    """Its value stands in the source of the crate that the worker is locked to, which is the version said to be run."""
    source = crate("riverqueue")
    found = re.search(pattern, (source / "src" / "client" / "completer.rs").read_text())
    assert found, pattern
    assert float(found[1].replace("_", "")) == fact
    assert source.name == f"riverqueue-{RUST.run[0]}"


def test_the_sleeps_double() -> None:
    """River sleeps two to the power of the attempts before, in seconds; the budget of giving up is their sum."""
    assert re.search(r"math\.Pow\(2, ", source(NEW, "rivershared:util/serviceutil"))
    assert [2.0**attempt for attempt in range(facts.COMPLETER_ATTEMPTS)] == list(facts.COMPLETER_SLEEPS)
    assert facts.COMPLETER_GIVES_UP == 37


def test_every_index_is_made_by_a_migration() -> None:
    """The names stand in River's migrations; the primary key has its name from PostgreSQL."""
    made = set()
    for file in _migrations(NEW):
        made |= set(re.findall(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(river_job_\w+)", file.read_text()))
    made.discard("river_job_kind_unique_key_idx")  # the last migration that names it drops it
    assert made | {"river_job_pkey"} == set(facts.INDEXES)


@pytest.mark.parametrize(("before", "since", "migration"), [("v0.39.0", "v0.40.0", 7), ("v0.47.0", "v0.48.0", 8)])
def test_a_migration_came_with_its_version(before: str, since: str, migration: int) -> None:
    """The driver of that version has it, the one before doesn't."""
    assert len(_migrations(before)) == migration - 1
    assert len(_migrations(since)) == migration
    assert facts.MIGRATION_SINCE[migration] == _minor(since)


def test_each_service_is_seen_by_a_known_operation() -> None:
    """What a service is recognised by is an operation of ours."""
    assert {service.operation for service in facts.MAINTENANCE.values()} <= set(OPERATIONS)


def _migrations(version: str) -> list[Path]:
    return sorted(module(DRIVER, version).glob("migration/main/*.up.sql"))


def _minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.removeprefix("v").split(".")[:2]))
