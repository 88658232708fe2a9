-- The checkpointer's work; in a view of its own since PostgreSQL 17.
select
    extract(epoch from c.stats_reset)::float8 as reset,
    c.num_timed::float8 as timed,
    c.num_requested::float8 as requested,
    c.write_time / 1000 as write_seconds,
    c.sync_time / 1000 as sync_seconds
from pg_catalog.pg_stat_checkpointer as c
