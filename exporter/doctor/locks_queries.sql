-- What sessions run, or ran last.
select
    a.pid,
    coalesce(a.query, '') as query
from pg_catalog.pg_stat_activity as a
where a.pid = any(%(pids)s)
