-- The prepared transaction that keeps dead rows of this database: the oldest.
select
    'prepared_transaction' as holder,
    p.transaction::text as oldest,
    age(p.transaction)::float8 as transactions,
    extract(epoch from clock_timestamp() - p.prepared)::float8 as seconds
from pg_catalog.pg_prepared_xacts as p
where p.database = current_database()
order by age(p.transaction) desc, p.prepared
limit 1
