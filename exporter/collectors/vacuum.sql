-- Which session, here or a standby's behind its walsender, keeps vacuum from removing dead rows of this database: the oldest
-- transaction it still needs. A session in another database, or one that vacuums, holds nothing back here. `seconds` is
-- null where no view tells it.
with holder as (
    select
        case when a.backend_type = 'walsender' then 'standby' else 'session' end as holder,
        case when age(a.backend_xid) > coalesce(age(a.backend_xmin), 0) then a.backend_xid else a.backend_xmin end as oldest,
        case when a.backend_type <> 'walsender' then a.xact_start end as since
    from pg_catalog.pg_stat_activity as a
    where
        a.pid <> pg_backend_pid()
        and (a.datname = current_database() or a.backend_type = 'walsender')
        and a.backend_type <> 'autovacuum worker'
        and a.query !~* '^\s*vacuum'
)
select distinct on (holder.holder)
    holder.holder,
    holder.oldest::text as oldest,
    age(holder.oldest)::float8 as transactions,
    extract(epoch from clock_timestamp() - holder.since)::float8 as seconds
from holder
where holder.oldest is not null
order by holder.holder, age(holder.oldest) desc, holder.since
