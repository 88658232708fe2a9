-- Statements on River's jobs with their texts, which a sidecar may ask for now and then: they are read from a file.
select
    s.query,
    s.calls::float8 as calls,
    s.total_exec_time::float8 / 1000 as total,
    s.max_exec_time::float8 / 1000 as longest,
    s.rows::float8 as rows,
    (s.shared_blks_hit + s.shared_blks_read)::float8 as blocks
from {schema}.pg_stat_statements(true) as s
where
    s.dbid = %(database)s
    and s.query like '%%river_job%%'
