"""Finished jobs by the million, as a River that has worked for a day leaves them."""

from __future__ import annotations

import time

import psycopg

from tests.testbed.cache import say

BATCH = 500_000
"""Rows of one statement, so that progress shows."""

_INDEXES = """\
select c.relname, pg_get_indexdef(i.indexrelid)
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
where i.indrelid = 'river_job'::regclass and not i.indisprimary
"""

# spread over the last 22 hours: River's cleaner takes what completed a day ago
_INSERT = """\
insert into river_job
  (args, attempt, attempted_at, attempted_by, created_at, finalized_at, kind, max_attempts, queue, state, scheduled_at)
select
  jsonb_build_object('recipient', 'user-' || n || '@example.org'),
  1,
  finished.at - interval '300 ms',
  array['worker-' || n %% 4],
  finished.at - interval '2 s',
  finished.at,
  (array['email', 'invoice', 'report', 'webhook'])[1 + n %% 4],
  25,
  'default',
  case when n %% 1000 = 0 then 'discarded' when n %% 500 = 0 then 'cancelled' else 'completed' end::river_job_state,
  finished.at - interval '2 s'
from generate_series(%(first)s::bigint, %(last)s::bigint) as n
cross join lateral (
  select now() - interval '1 h' - (n - %(first)s) * interval '21 h' / (%(last)s - %(first)s + 1) as at
) as finished
"""


def fill(connection: psycopg.Connection, rows: int) -> None:
    """Bring the table to that many finished rows; its indexes, but the key's, are built afterwards.

    River must not run meanwhile: without its indexes every fetch would read the whole table.
    """
    (there,) = connection.execute("select count(*) from river_job where finalized_at is not null").fetchone() or (0,)
    if there >= rows:
        return
    say(f"filling river_job from {there:,} to {rows:,} finished rows")
    began = time.monotonic()
    indexes = connection.execute(_INDEXES.encode()).fetchall()
    for name, _ in indexes:
        connection.execute(f'drop index "{name}"'.encode())
    for first in range(there, rows, BATCH):
        last = min(first + BATCH, rows) - 1
        connection.execute(_INSERT, {"first": first, "last": last})
        say(f"{last + 1:,} rows after {time.monotonic() - began:.0f} s")
    connection.execute("set maintenance_work_mem = '512MB'")
    for name, definition in indexes:
        say(f"building {name} ({time.monotonic() - began:.0f} s)")
        connection.execute(definition.encode())
    say("VACUUM ANALYZE")
    connection.execute("vacuum analyze river_job")
