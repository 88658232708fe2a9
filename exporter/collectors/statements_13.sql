-- Numbers of every statement of this database, without the texts, which would be read from a file. Extension 1.3 to 1.7.
select
    s.userid::int8 as userid,
    s.queryid,
    true as toplevel,
    s.calls::float8 as calls,
    s.total_time::float8 / 1000 as seconds,
    s.rows::float8 as rows,
    s.shared_blks_hit::float8 as hit,
    s.shared_blks_read::float8 as read,
    s.shared_blks_dirtied::float8 as dirtied,
    s.shared_blks_written::float8 as written
from {schema}.pg_stat_statements(false) as s
where s.dbid = %(database)s and s.queryid is not null
