-- The statistics of river_job, and how far it is from autovacuum's threshold and from the wraparound of transaction ids.
-- The threshold is the manual's ("Routine Vacuuming", "The Autovacuum Daemon"), with the table's own settings; the cap
-- on it is of PostgreSQL 18.
with job as (
    select
        c.oid,
        c.reltoastrelid,
        greatest(c.reltuples, 0)::float8 as reltuples,
        c.relfrozenxid,
        c.relminmxid,
        o.threshold,
        o.scale_factor,
        o.max_threshold
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    cross join lateral (
        select
            max(option_value) filter (where option_name = 'autovacuum_vacuum_threshold')::float8 as threshold,
            max(option_value) filter (where option_name = 'autovacuum_vacuum_scale_factor')::float8 as scale_factor,
            max(option_value) filter (where option_name = 'autovacuum_vacuum_max_threshold')::float8 as max_threshold
        from pg_catalog.pg_options_to_table(c.reloptions)
    ) as o
    where n.nspname = %(schema)s and c.relname = 'river_job'
),
setting as (
    select
        coalesce(job.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce(job.scale_factor, current_setting('autovacuum_vacuum_scale_factor')::float8) * job.reltuples as plain,
        nullif(
            coalesce(job.max_threshold, current_setting('autovacuum_vacuum_max_threshold', true)::float8, -1), -1
        ) as cap
    from job
)
select
    coalesce(nullif(s.n_live_tup, 0), job.reltuples)::float8 as live,
    s.n_dead_tup::float8 as dead,
    coalesce(s.seq_scan, 0)::float8 as sequential_scans,
    coalesce(s.idx_scan, 0)::float8 as index_scans,
    coalesce(s.seq_tup_read, 0)::float8 as sequential_rows,
    coalesce(s.idx_tup_fetch, 0)::float8 as index_rows,
    s.n_tup_hot_upd::float8 as hot_updates,
    (s.n_tup_upd - s.n_tup_hot_upd)::float8 as other_updates,
    extract(epoch from greatest(s.last_vacuum, s.last_autovacuum))::float8 as vacuumed,
    extract(epoch from greatest(s.last_analyze, s.last_autoanalyze))::float8 as analyzed,
    s.n_dead_tup / greatest(least(setting.plain, setting.cap), 1) as overdue,
    (
        select max(greatest(age(f.relfrozenxid), mxid_age(f.relminmxid))) / 2147483648.0::float8
        from pg_catalog.pg_class as f
        where f.oid in (job.oid, job.reltoastrelid)
    ) as wraparound
from job
cross join setting
join pg_catalog.pg_stat_all_tables as s on s.relid = job.oid
