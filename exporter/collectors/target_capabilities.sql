-- What this role may read of the server and the database, and which settings leave the views empty.
-- Settings are River's as far as they are known: the server's, unless our own role or database has others, and those of
-- roles that may complete jobs.
with silent as (
    -- "disabled" is the state of a session that tells nothing, whoever turned it off
    select distinct a.usesysid as role
    from pg_catalog.pg_stat_activity as a
    where a.datname = current_database() and a.state = 'disabled' and a.pid <> pg_backend_pid()
),
worker as (
    select
        r.oid,
        quote_ident(r.rolname) as name
    from pg_catalog.pg_roles as r
    where
        r.oid in (select s.setrole from pg_catalog.pg_db_role_setting as s union select silent.role from silent)
        and exists (
            select from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
            where
                c.relname = 'river_job' and c.relkind in ('r', 'p') and n.nspname = any(%(schemas)s)
                and has_table_privilege(r.oid, c.oid, 'UPDATE')
                -- a superuser may complete jobs anywhere, and seldom does
                and (not r.rolsuper or c.relowner = r.oid)
        )
),
setting as (
    select
        s.name,
        s.setting,
        s.source not in ('user', 'database user', 'client', 'session') as servers
    from pg_catalog.pg_settings as s
    where s.name in ('track_activities', 'track_counts', 'pg_stat_statements.track')
),
changed as (
    select
        o.entry,
        case
            when s.setrole = 0 then 'DATABASE ' || quote_ident(current_database())
            else 'ROLE ' || w.name || case when s.setdatabase <> 0
                then ' IN DATABASE ' || quote_ident(current_database()) else '' end
        end as owner
    from pg_catalog.pg_db_role_setting as s
    cross join lateral unnest(s.setconfig) as o (entry)
    left join worker as w on w.oid = s.setrole
    where
        (s.setrole = 0 or w.oid is not null)
        and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d where d.datname = current_database()))
)
select
    pg_has_role('pg_monitor', 'usage') or pg_has_role('pg_read_all_stats', 'usage') as pg_monitor,
    n.nspname::text as statements_schema,
    string_to_array(e.extversion, '.')::int[] as statements_version,
    quote_ident(n.nspname) as statements_place,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) as statements_open,
    coalesce((
        select bool_and(has_function_privilege(f.oid, 'EXECUTE')) from pg_catalog.pg_proc as f
        where f.pronamespace = n.oid and f.proname = 'pg_stat_statements'
    ), false) as statements_callable,
    -- the setting is there only where the library was preloaded, and anybody may read it
    current_setting('pg_stat_statements.track', true) is not null as statements_loaded,
    exists (select from setting where name = 'pg_stat_statements.track' and setting = 'none' and servers)
        as statements_untracked,
    array(select owner from changed where lower(entry) = 'pg_stat_statements.track=none' order by 1)
        as statements_untracked_by,
    coalesce(current_setting('compute_query_id', true) = 'off', false) as statements_without_ids,
    exists (select from setting where name = 'track_activities' and setting = 'off' and servers) as activities_off,
    array(select owner from changed where lower(entry) in (
        'track_activities=off', 'track_activities=false', 'track_activities=no', 'track_activities=0'
    ) order by 1) as activities_off_by,
    array(select w.name from worker as w where w.oid in (select silent.role from silent) order by 1) as silent_users,
    (select z.setting::int8 from pg_catalog.pg_settings as z where z.name = 'track_activity_query_size') as query_size,
    exists (select from setting where name = 'track_counts' and setting = 'off' and servers) as counts_off,
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
