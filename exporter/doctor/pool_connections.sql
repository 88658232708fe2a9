-- Connections in use, of all there are for ordinary roles.
select
    (
        select count(*)::int from pg_catalog.pg_stat_activity as a where a.backend_type = 'client backend'
    ) as used,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most
