-- Checkpoints since the statistics' reset.
select
    c.num_timed::float8 as timed,
    c.num_requested::float8 as requested,
    c.write_time::float8 / 1000 as writing,
    c.sync_time::float8 / 1000 as syncing,
    (select s.setting::float8 from pg_catalog.pg_settings as s where s.name = 'max_wal_size') as max_wal
from pg_catalog.pg_stat_checkpointer as c
