"""Emulators of River for Java, JavaScript and Ruby, whose packages can't be had here: none of them is River.

Each does in SQL of our own what the completer of its runtime does, as that runtime's source shows it: the same tables,
clauses and spacing, the same transactions, deadlines and sleeps. What only a real River would show (its scheduler, its
elections, its migrations) is left out. The database is migrated by River for Go's migrations.
"""

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar

import psycopg
from psycopg import sql

from tests.testbed.process import Started

Job = tuple[int, int]
"""A running job's id and attempt."""

INSERT = """
INSERT INTO river_job (args, kind, max_attempts, state)
SELECT '{}', 'emulated', 25, 'available' FROM generate_series(1, %s)
"""

TICK = 0.1
"""Seconds between two rounds of inserting, fetching and ending jobs."""


class Emulator(Started, ABC):
    """A worker that inserts jobs, fetches them and completes them; a context manager.

    Attributes:
        name: As in `exporter.river.supported`.
        statements: A statement of each kind that it sends, by River for Go's name of the operation.
        failures: The errors of completing attempts that failed, in order.
    """

    name: str
    statements: ClassVar[Mapping[str, str]]

    def __init__(
        self, url: str, *, rate: float = 20.0, job_seconds: float = 0.1, workers: int = 5, comment: int = 0
    ) -> None:
        """Describe a worker.

        Args:
            url: The address of a database with River's tables.
            rate: Jobs inserted per second.
            job_seconds: How long one runs.
            workers: How many run at once.
            comment: Length of the comment before each statement, which is another one each time, as an APM library
                puts it there; 0 for none.
        """
        self._comment = comment
        self._url = url
        self._rate = rate
        self._job_seconds = job_seconds
        self._workers = workers
        self._stop = threading.Event()
        self._running: deque[tuple[float, Job]] = deque()
        self._ended: deque[Job] = deque()
        self._threads: list[threading.Thread] = []
        self.failures: list[str] = []
        self.completed = 0

    def start(self) -> None:
        """Start inserting, fetching and completing."""
        self._stop.clear()
        self._threads = [threading.Thread(target=target, daemon=True) for target in self._loops()]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop; a statement in flight is cancelled, as the process would take it along."""
        self._stop.set()
        for thread in self._threads:
            while thread.is_alive():
                self._cancel()
                thread.join(TICK)

    @abstractmethod
    def fetch(self, connection: psycopg.Connection, limit: int) -> list[Job]:
        """Take jobs that are available."""

    @abstractmethod
    def complete_loop(self) -> None:
        """Complete ended jobs until the worker is stopped, as this runtime's completer does."""

    def _loops(self) -> list[Callable[[], None]]:
        return [self._work, self._end, self.complete_loop]

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self._url, autocommit=True, application_name=f"emulated {self.name}")

    def _cancel(self) -> None:
        with suppress(psycopg.Error), psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'",
                [f"emulated {self.name}"],
            )

    def _work(self) -> None:
        due = 0.0
        with self._connect() as connection:
            while not self._stop.wait(TICK):
                with suppress(psycopg.Error):  # a table that is locked or gone is the test's doing
                    due += self._rate * TICK
                    connection.execute(INSERT, [int(due)])
                    due -= int(due)
                    free = self._workers - len(self._running)
                    if free > 0:
                        ends = time.monotonic() + self._job_seconds
                        self._running.extend((ends, job) for job in self.fetch(connection, free))

    def _end(self) -> None:
        """End jobs whose time is over, whatever the sessions wait for."""
        while not self._stop.wait(TICK / 2):
            while self._running and self._running[0][0] <= time.monotonic():
                self._ended.append(self._running.popleft()[1])

    def _commented(self, text: str) -> str:
        """Put a comment of the length asked for before a statement."""
        trace = f"/*traceparent='00-{uuid.uuid4().hex}-01',service='{'x' * self._comment}"
        return f"{trace[: self._comment - 3]}'*/{text}" if self._comment else text

    def _run(self, connection: psycopg.Connection, operation: str, *values: object) -> list[Job]:
        """Run a statement with its parameters as `$1`, as the drivers of these runtimes send it."""
        with psycopg.RawCursor(connection) as cursor:
            return cursor.execute(self._commented(self.statements[operation]).encode(), list(values)).fetchall()

    def _batch(self, limit: int) -> list[Job]:
        return [self._ended.popleft() for _ in range(min(limit, len(self._ended)))]


class JavaScript(Emulator):
    """Batches, three attempts of 10 s, cancelled in the server at the deadline; two statements at once at most."""

    name = "javascript"
    batch = 1_000
    timeout = 10.0
    sleeps = (1.0, 2.0, 4.0)
    statements: ClassVar[Mapping[str, str]] = {
        "JobSetStateIfRunningMany": """/* river:jobCompleteMany */
      WITH job_input AS (
        SELECT *
        FROM unnest(
          $1::bigint[],
          $2::smallint[],
          $3::text[]
        ) AS ended(id, tried, outcome)
      ),
      updated AS (
        UPDATE "river_job" AS river_job
        SET
          finalized_at = clock_timestamp(),
          state = job_input.outcome::"river_job_state"
        FROM job_input
        WHERE river_job.id = job_input.id
          AND river_job.state = 'running'
          AND river_job.attempt = job_input.tried
        RETURNING river_job.id
      )
      SELECT count(*) FROM updated
    """,
        "JobGetAvailable": """
      WITH queue_limits AS (
        SELECT * FROM unnest($1::text[], $2::int[]) AS wanted(name, free)
      ),
      picked AS (
        SELECT candidate.id
        FROM queue_limits
        CROSS JOIN LATERAL (
          SELECT river_job.id
          FROM "river_job" AS river_job
          WHERE river_job.state = 'available' AND river_job.queue = queue_limits.name
          ORDER BY river_job.priority, river_job.scheduled_at, river_job.id
          LIMIT queue_limits.free
          FOR UPDATE SKIP LOCKED
        ) AS candidate
      )
      UPDATE "river_job" AS river_job
      SET
        state = 'running',
        attempt = river_job.attempt + 1,
        attempted_at = now(),
        attempted_by = array_append(river_job.attempted_by, $3::text)
      FROM picked
      WHERE river_job.id = picked.id
      RETURNING river_job.id, river_job.attempt
    """,
        "JobGetStuck": """
      SELECT * FROM "river_job"
      WHERE state = 'running'
        AND id > $1::bigint
        AND attempted_at < $2::timestamptz
      LIMIT $3::int
    """,
        "JobRescueMany": """
      WITH rescued AS (
        SELECT *
        FROM unnest($1::bigint[], $2::jsonb[]) AS late(id, error)
      )
      UPDATE "river_job" AS river_job
      SET errors = array_append(river_job.errors, rescued.error), state = 'retryable'
      FROM rescued
      WHERE river_job.id = rescued.id AND river_job.state = 'running'
    """,
        "JobDeleteBefore": """
      DELETE FROM "river_job"
      WHERE id IN (
        SELECT id
        FROM "river_job"
        WHERE state = 'completed' AND finalized_at < $1::timestamptz
        LIMIT $2::int
      )
    """,
        "LeaderAttemptReelect": """
      UPDATE "river_leader"
      SET expires_at = now() + make_interval(secs => $1::double precision)
      WHERE leader_id = $2::text
    """,
    }

    def fetch(self, connection: psycopg.Connection, limit: int) -> list[Job]:
        """Take jobs of the one queue."""
        return self._run(connection, "JobGetAvailable", ["default"], [limit], self.name)

    def complete_loop(self) -> None:
        """Give each batch three attempts, then drop it."""
        with self._connect() as connection, self._connect() as canceller:
            while not self._stop.wait(TICK):
                batch = self._batch(self.batch)
                for sleep in self.sleeps if batch else ():
                    deadline = threading.Timer(self.timeout, _cancel_backend, [canceller, connection.info.backend_pid])
                    deadline.start()
                    try:
                        ids, attempts = map(list, zip(*batch, strict=True))
                        states = ["completed"] * len(batch)
                        self._run(connection, "JobSetStateIfRunningMany", ids, attempts, states)
                        self.completed += len(batch)
                        break
                    except psycopg.Error as error:
                        self.failures.append(str(error).strip())
                        if self._stop.wait(sleep):
                            return
                    finally:
                        deadline.cancel()


class Java(Emulator):
    """One transaction around a batch, one UPDATE per job, no deadline; again after 100 ms, without an end."""

    name = "java"
    batch = 1_000
    sleep = 0.1
    statements: ClassVar[Mapping[str, str]] = {
        "JobSetStateIfRunning": """WITH choice AS (SELECT $1::text AS target_state, $2::timestamptz AS now)
UPDATE "river_job" SET
state=CASE WHEN finalized_at IS NULL THEN (SELECT target_state FROM choice)::river_job_state ELSE state END,
finalized_at=CASE WHEN finalized_at IS NULL THEN (SELECT now FROM choice) ELSE finalized_at END
WHERE id=$3 AND attempt=$4 RETURNING id""",
        "JobGetAvailable": """UPDATE "river_job" SET state='running',attempt=attempt+1,attempted_at=$1,
attempted_by=array_append(attempted_by,$2::text)
WHERE id IN (SELECT id FROM "river_job" WHERE state='available' AND scheduled_at<=$1
ORDER BY priority,scheduled_at,id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id,attempt""",
        "JobGetStuck": """SELECT id, args, attempt, attempted_at, array_to_json(attempted_by) AS clients, kind
FROM "river_job" WHERE state='running' AND attempted_at<$1 AND id>$2 LIMIT 1000 FOR UPDATE SKIP LOCKED""",
        "JobRescueMany": """UPDATE "river_job" SET
state=CASE WHEN state IN ('completed','discarded') THEN state ELSE $1::river_job_state END
WHERE state='running' AND id=$2""",
        "JobDeleteBefore": """DELETE FROM "river_job" WHERE id IN (SELECT id FROM "river_job" WHERE
(state='completed' AND finalized_at<$1) LIMIT 1000)""",
        "JobSchedule": """SELECT id,unique_key FROM "river_job" WHERE state IN ('retryable','scheduled')
AND scheduled_at<=$1 FOR UPDATE""",
        "LeaderAttemptReelect": """UPDATE "river_leader" SET expires_at=$1 WHERE leader_id=$2""",
    }

    def fetch(self, connection: psycopg.Connection, limit: int) -> list[Job]:
        """Take jobs."""
        return self._run(connection, "JobGetAvailable", datetime.now(UTC), self.name, limit)

    def complete_loop(self) -> None:
        """Try each batch until it is committed."""
        with self._connect() as connection:
            while not self._stop.wait(0.02):
                batch = self._batch(self.batch)
                while batch and not self._stop.is_set():
                    try:
                        with connection.transaction():
                            for job, attempt in batch:
                                now = datetime.now(UTC)
                                self._run(connection, "JobSetStateIfRunning", "completed", now, job, attempt)
                        self.completed += len(batch)
                        break
                    except psycopg.Error as error:
                        self.failures.append(str(error).strip())
                        self._stop.wait(self.sleep)


class Ruby(Emulator):
    """Each worker's thread completes its own job, once and without a deadline; the values stand in the text.

    A completion that fails is written down as a failed attempt of the job.
    """

    name = "ruby"
    failed = """UPDATE river_job
SET errors = array_append(errors, '{{"error": "the completion failed"}}'::jsonb),
    finalized_at = CASE WHEN metadata ? 'cancel_attempted_at' THEN {now}::timestamptz ELSE NULL END,
    state = CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled' ELSE 'retryable'::river_job_state END
WHERE id = {id} AND state = 'running'
RETURNING id, attempt
"""
    statements: ClassVar[Mapping[str, str]] = {
        "JobSetStateIfRunning": """UPDATE river_job SET state = 'completed', finalized_at = {now}::timestamptz
WHERE id = {id} AND state = 'running' AND NOT (metadata ? 'cancel_attempted_at')
RETURNING id, attempt
""",
        "JobGetAvailable": """UPDATE river_job
SET attempt = CASE WHEN attempt < 1000 THEN attempt + 1 ELSE attempt END,
    attempted_at = {now}::timestamptz,
    attempted_by = array_append(attempted_by, {client}),
    state = 'running'
WHERE id IN (
  SELECT id FROM river_job
  WHERE state = 'available' AND scheduled_at <= {now}::timestamptz
  ORDER BY priority, scheduled_at, id
  LIMIT {limit}
  FOR UPDATE SKIP LOCKED
)
RETURNING id, attempt
""",
        "JobGetStuck": """SELECT id FROM river_job
WHERE state = 'running' AND attempted_at < {now}::timestamptz AND id > {id}
LIMIT {limit} FOR UPDATE SKIP LOCKED
""",
        "JobDeleteBefore": """SELECT id FROM river_job
WHERE (state = 'completed' AND finalized_at < {now}::timestamptz) LIMIT {limit}
""",
        "JobSchedule": """SELECT id FROM river_job
WHERE state IN ('retryable', 'scheduled') AND scheduled_at <= {now}::timestamptz
LIMIT {limit} FOR UPDATE SKIP LOCKED
""",
        "LeaderAttemptReelect": """UPDATE river_leader SET expires_at = {now}::timestamptz
WHERE leader_id = {client}
""",
    }

    def fetch(self, connection: psycopg.Connection, limit: int) -> list[Job]:
        """Take jobs."""
        return self._send(connection, self.statements["JobGetAvailable"], limit=limit)

    def _loops(self) -> list[Callable[[], None]]:
        return [self._work, self._end, *[self.complete_loop] * self._workers]

    def complete_loop(self) -> None:
        """Complete one job at a time, once."""
        with self._connect() as connection:
            while not self._stop.wait(TICK):
                for job, _ in self._batch(1):
                    try:
                        self._send(connection, self.statements["JobSetStateIfRunning"], id=job)
                        self.completed += 1
                    except psycopg.Error as error:
                        self.failures.append(str(error).strip())
                        with suppress(psycopg.Error):  # then the job stays running
                            self._send(connection, self.failed, id=job)

    def _send(self, connection: psycopg.Connection, text: str, **values: int) -> list[Job]:
        """Run a statement with its values in the text."""
        now = datetime.now(UTC).isoformat()
        named = {name: sql.Literal(value) for name, value in {"now": now, "client": self.name, **values}.items()}
        return connection.execute(sql.SQL(self._commented(text)).format(**named)).fetchall()


EMULATORS: tuple[type[Emulator], ...] = (JavaScript, Java, Ruby)
"""Every emulator."""


def _cancel_backend(connection: psycopg.Connection, pid: int) -> None:
    """Cancel what a session runs, from another one, if it is the completing statement."""
    with suppress(psycopg.Error):
        connection.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query LIKE %s",
            [pid, "/* river:jobCompleteMany */%"],
        )


def examples(emulator: type[Emulator]) -> Sequence[tuple[str, str]]:
    """Return each operation with a statement as pg_stat_activity would show it."""
    values = {"now": "'2026-11-28T10:00:00Z'", "client": "'one'", "id": "4711", "limit": "100"}
    if emulator is not Ruby:
        return list(emulator.statements.items())
    texts = [*emulator.statements.items(), ("JobSetStateIfRunning", Ruby.failed)]
    return [(operation, text.format(**values)) for operation, text in texts]
