"""Constants of River that the budget, the doctor and the alerts reckon with; durations in seconds.

Each was read in River's source of v0.16.0 and v0.51.1 (and of the versions between where they differ); the
path of the file stands beside it, and a test looks them up there again. A version is (major, minor).
"""

from typing import NamedTuple

# The batch completer, internal/jobcompleter/job_completer.go.

HOT_OPERATION_TIMEOUT = 10.0
"""One attempt of the completer, and from v0.39 one fetch: internal/rivercommon/river_common.go (a literal in
the completer up to v0.38)."""

COMPLETER_ATTEMPTS = 3
"""Attempts at one batch before River abandons it."""

COMPLETER_SLEEPS = (1.0, 2.0, 4.0)
"""Sleep after each failed attempt, the last one included, ±10 %: rivershared/util/serviceutil."""

COMPLETER_GIVES_UP = COMPLETER_ATTEMPTS * HOT_OPERATION_TIMEOUT + sum(COMPLETER_SLEEPS)
"""How long a batch is tried for before River abandons it."""

COMPLETER_TICK = 0.05
"""How often the completer looks at what waits."""

COMPLETER_INTERVAL = 5 * COMPLETER_TICK
"""How long fewer than `COMPLETER_BATCH_START` jobs wait at most: every fifth tick writes what is there."""

COMPLETER_BATCH_START = 100
"""From so many waiting jobs on, the next tick writes."""

COMPLETER_BATCH_SIZE = 5_000
"""The most jobs of one statement."""

BACKLOG_WARNING = 20_000
"""Waiting jobs at which River logs "Hit maximum backlog"; up to v0.39 workers block from here on."""

BACKLOG_PRESSURE = 10_000
"""Waiting jobs from which workers block, from v0.40 on."""

REQUEUES_SINCE = (0, 40)
"""Since this version an abandoned batch is queued again. Before, it is lost: its jobs stay ``running``
until the rescuer takes them, and run again."""

NO_TRANSACTION_SINCE = (0, 24)
"""Since this version the completer sends its statement alone, before between BEGIN and COMMIT."""

# Leadership, internal/leadership/elector.go.

ELECT_INTERVAL = 5.0
"""How often the leader renews its term and the others try to win it."""

ELECT_TIMEOUT = 5.0
"""One attempt at either; shorter than the completer's, so that it fails first."""

LEADER_TTL = ELECT_INTERVAL + 10.0
"""From an election, or its renewal, to `river_leader.expires_at`."""

# Maintenance, which only the leader runs: internal/maintenance, rivershared/riversharedmaintenance.


class Service(NamedTuple):
    """A maintenance service of River's.

    Attributes:
        interval: How often it runs, unless configured.
        operation: The operation that it sends on every run, so that its calls show the service at work.
    """

    interval: float
    operation: str


MAINTENANCE = {
    "cleaner": Service(30.0, "JobDeleteBefore"),
    "queue_cleaner": Service(3600.0, "QueueDeleteExpired"),
    "reindexer": Service(86400.0, "IndexReindex"),
    "rescuer": Service(30.0, "JobGetStuck"),
    "scheduler": Service(5.0, "JobSchedule"),
}
"""The services by name. The reindexer runs at midnight UTC, on indexes that are there and have no remains."""

RESCUE_AFTER = 3600.0
"""How long a job is ``running`` before the rescuer takes it (plus the client's JobTimeout where one is set)."""

REINDEX_TIMEOUT = 60.0
"""One REINDEX; 15 s up to v0.22. One cut short leaves an invalid ``_ccnew`` index."""

RETENTION = {"cancelled": 86400.0, "completed": 86400.0, "discarded": 7 * 86400.0}
"""How long finished jobs are kept, by state, unless configured."""

# The schema, riverdriver/riverpgxv5/migration/main.

INDEXES = (
    "river_job_pkey",
    "river_job_args_index",
    "river_job_kind",
    "river_job_metadata_index",
    "river_job_prioritized_fetching_index",
    "river_job_state_and_finalized_at_index",
    "river_job_unique_idx",
)
"""Indexes of river_job from migration 6 on; migration 5 has river_job_kind_unique_key_idx for the last."""

MIGRATION_SINCE = {7: (0, 40), 8: (0, 48)}
"""The version that brought a migration; an applied one shows that this version, or a later one, was here."""
