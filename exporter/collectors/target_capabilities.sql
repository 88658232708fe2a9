-- What this role may read of the server and the database.
select
    quote_ident(current_user) as role,
    pg_has_role('pg_monitor', 'usage') or pg_has_role('pg_read_all_stats', 'usage') as pg_monitor,
    (
        select n.nspname::text
        from pg_catalog.pg_extension as e join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
        where e.extname = 'pg_stat_statements'
    ) as statements_schema,
    (select string_to_array(e.extversion, '.')::int[] from pg_catalog.pg_extension as e where e.extname = 'pg_stat_statements')
        as statements_version,
    -- whoever may not read this setting is told so by the view itself
    case
        when pg_has_role('pg_read_all_settings', 'usage')
            then current_setting('shared_preload_libraries') like '%pg_stat_statements%'
        else true
    end as statements_loaded,
    current_setting('track_commit_timestamp') = 'on' as commit_timestamp
