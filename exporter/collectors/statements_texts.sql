-- Texts of statements that were not seen before.
select distinct on (s.queryid)
    s.queryid,
    s.query
from {schema}.pg_stat_statements(true) as s
where s.dbid = %(database)s and s.queryid = any(%(ids)s) and s.query is not null
