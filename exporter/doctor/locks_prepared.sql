-- Prepared transactions of this database. Their locks have no pid; that on their own transaction id has the virtual
-- transaction that the others have, too: of the session that prepared it, or -1/xid after a restart and on PostgreSQL 13.
select
    p.gid,
    extract(epoch from clock_timestamp() - p.prepared)::float8 as age,
    exists (
        select
        from pg_catalog.pg_locks as own
        join pg_catalog.pg_locks as l on l.virtualtransaction = own.virtualtransaction and l.pid is null
        join pg_catalog.pg_class as c on c.oid = l.relation
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where
            own.locktype = 'transactionid'
            and own.transactionid = p.transaction
            and own.pid is null
            and n.nspname = any(%(schemas)s)
            and c.relname like 'river\_%%'
    ) as rivers
from pg_catalog.pg_prepared_xacts as p
where p.database = current_database()
order by p.prepared
limit 20
