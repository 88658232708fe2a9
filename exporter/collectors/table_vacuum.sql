-- Whether a vacuum of river_job runs; others' vacuums are shown to pg_read_all_stats.
select exists (
    select from pg_catalog.pg_stat_progress_vacuum as v
    where v.relid = (
        select c.oid from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = %(schema)s and c.relname = 'river_job'
    )
) as running
