-- Checkpoints since the statistics' reset. Up to PostgreSQL 16 they stand in pg_stat_bgwriter.
select
    b.checkpoints_timed::float8 as timed,
    b.checkpoints_req::float8 as requested,
    b.checkpoint_write_time::float8 / 1000 as writing,
    b.checkpoint_sync_time::float8 / 1000 as syncing,
    (select s.setting::float8 from pg_catalog.pg_settings as s where s.name = 'max_wal_size') as max_wal
from pg_catalog.pg_stat_bgwriter as b
