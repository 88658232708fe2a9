-- Whether a session's transaction holds locks on a table that is not River's: then River's statement was not its first.
select exists (
    select
    from pg_catalog.pg_locks as l
    join pg_catalog.pg_class as c on c.oid = l.relation
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where
        l.pid = %(pid)s
        and l.locktype = 'relation'
        and l.database = %(database)s
        and c.relkind in ('r', 'p')
        and c.relname not like 'river\_%%'
        and n.nspname not in ('pg_catalog', 'pg_toast', 'information_schema')
) as there
