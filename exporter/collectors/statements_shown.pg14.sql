-- Texts of statements that sessions of this database run or ran last.
select distinct on (a.query_id)
    a.query_id as queryid,
    a.query
from pg_catalog.pg_stat_activity as a
where a.datname = current_database() and a.query_id = any(%(ids)s) and a.query <> ''
