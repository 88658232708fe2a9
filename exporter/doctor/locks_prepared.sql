-- Prepared transactions of this database. Their locks have no pid and the virtual transaction -1/xid.
select
    p.gid,
    extract(epoch from clock_timestamp() - p.prepared)::float8 as age,
    exists (
        select
        from pg_catalog.pg_locks as l
        join pg_catalog.pg_class as c on c.oid = l.relation
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where
            l.virtualtransaction = '-1/' || p.transaction::text
            and n.nspname = any(%(schemas)s)
            and c.relname like 'river\_%%'
    ) as rivers
from pg_catalog.pg_prepared_xacts as p
where p.database = current_database()
order by p.prepared
limit 20
