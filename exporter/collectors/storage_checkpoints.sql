-- The checkpointer's work; in pg_stat_bgwriter up to PostgreSQL 16.
select
    extract(epoch from b.stats_reset)::float8 as reset,
    b.checkpoints_timed::float8 as timed,
    b.checkpoints_req::float8 as requested,
    b.checkpoint_write_time / 1000 as write_seconds,
    b.checkpoint_sync_time / 1000 as sync_seconds
from pg_catalog.pg_stat_bgwriter as b
