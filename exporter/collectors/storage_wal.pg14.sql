-- WAL written, and how often for want of a free buffer.
select
    extract(epoch from w.stats_reset)::float8 as reset,
    w.wal_bytes::float8 as bytes,
    w.wal_buffers_full::float8 as buffers_full
from pg_catalog.pg_stat_wal as w
