-- What holds back the oldest transaction that vacuum must leave, the oldest first. A backend of a standby's sends its xmin here.
select
    holder.kind,
    holder.name,
    holder.seconds::float8 as seconds,
    holder.transactions::float8 as transactions,
    holder.pid,
    holder.active
from (
    select
        'session' as kind,
        a.pid || ' (' || coalesce(nullif(a.application_name, ''), 'no application name') || ')' as name,
        extract(epoch from clock_timestamp() - a.xact_start) as seconds,
        greatest(age(a.backend_xmin), age(a.backend_xid)) as transactions,
        a.pid,
        true as active
    from pg_catalog.pg_stat_activity as a
    where (a.backend_xmin is not null or a.backend_xid is not null) and a.backend_type = 'client backend'
        -- sessions of other databases hold nothing back here
        and a.pid <> pg_backend_pid() and a.datname = current_database()
    union all
    select
        'slot',
        s.slot_name::text,
        null,
        greatest(age(s.xmin), age(s.catalog_xmin)),
        null,
        s.active
    from pg_catalog.pg_replication_slots as s
    where s.xmin is not null or s.catalog_xmin is not null
    union all
    select
        'prepared transaction',
        p.gid,
        extract(epoch from clock_timestamp() - p.prepared),
        age(p.transaction),
        null,
        true
    from pg_catalog.pg_prepared_xacts as p
    where p.database = current_database()
    union all
    select
        'standby',
        coalesce(nullif(r.application_name, ''), r.pid::text),
        null,
        age(r.backend_xmin),
        null,
        true
    from pg_catalog.pg_stat_replication as r
    where r.backend_xmin is not null
) as holder
order by holder.transactions desc nulls last
limit 5
