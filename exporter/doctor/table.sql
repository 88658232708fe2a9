-- Statistics of river_job. Options of the table go before settings of the server (manual, "The Autovacuum Daemon").
select
    coalesce(s.n_live_tup, 0)::float8 as live,
    coalesce(s.n_dead_tup, 0)::float8 as dead,
    (
        coalesce(o.vacuum_threshold, current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce(o.scale_factor, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, 0)
    )::float8 as threshold,
    pg_relation_size(c.oid)::float8 as heap,
    pg_indexes_size(c.oid)::float8 as indexes,
    extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8 as vacuumed,
    coalesce(s.seq_scan, 0)::float8 as scans,
    coalesce(s.seq_tup_read, 0)::float8 as scanned,
    age(c.relfrozenxid)::float8 as age,
    exists (select from pg_catalog.pg_stat_progress_vacuum as v where v.relid = c.oid) as vacuuming,
    coalesce(o.fillfactor, 100)::int as fillfactor,
    coalesce(o.scale_factor, current_setting('autovacuum_vacuum_scale_factor')::float8) as scale_factor,
    coalesce(o.enabled, true) as autovacuum,
    current_setting('autovacuum') = 'on' and current_setting('track_counts') = 'on' as launcher,
    (s.n_tup_hot_upd::float8 / nullif(s.n_tup_upd, 0))::float8 as hot
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_all_tables as s on s.relid = c.oid
cross join lateral (
    select
        max(t.option_value) filter (where t.option_name = 'fillfactor')::int as fillfactor,
        max(t.option_value) filter (where t.option_name = 'autovacuum_vacuum_threshold')::float8 as vacuum_threshold,
        max(t.option_value) filter (where t.option_name = 'autovacuum_vacuum_scale_factor')::float8 as scale_factor,
        max(t.option_value) filter (where t.option_name = 'autovacuum_enabled')::boolean as enabled
    from pg_options_to_table(c.reloptions) as t
) as o
where n.nspname = %(schema)s and c.relname = 'river_job'
