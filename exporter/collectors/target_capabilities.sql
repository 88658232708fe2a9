-- What this role may read of the server and the database.
select
    quote_ident(current_user) as role,
    pg_has_role('pg_monitor', 'usage') or pg_has_role('pg_read_all_stats', 'usage') as pg_monitor,
    n.nspname::text as statements_schema,
    string_to_array(e.extversion, '.')::int[] as statements_version,
    case when not has_schema_privilege(n.oid, 'USAGE') then quote_ident(n.nspname) end as statements_closed,
    -- whoever may not read this setting is told so by the view itself
    case
        when pg_has_role('pg_read_all_settings', 'usage')
            then current_setting('shared_preload_libraries') like '%pg_stat_statements%'
        else true
    end as statements_loaded,
    current_setting('track_commit_timestamp') = 'on' as commit_timestamp,
    (
        select g.nspname::text
        from pg_catalog.pg_extension as t
        join pg_catalog.pg_namespace as g on g.oid = t.extnamespace
        join pg_catalog.pg_proc as f on f.pronamespace = g.oid and f.proname = 'pgstatginindex'
        where
            t.extname = 'pgstattuple'
            and has_schema_privilege(g.oid, 'USAGE')
            and has_function_privilege(f.oid, 'EXECUTE')
        limit 1
    ) as pgstattuple_schema
-- one row, also where the extension is not
from (values (1)) as one
left join pg_catalog.pg_extension as e on e.extname = 'pg_stat_statements'
left join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
