-- How often the least used statements were thrown out, and when all were. Extension 1.9 and later.
select
    i.dealloc::float8 as deallocated,
    extract(epoch from i.stats_reset)::float8 as reset
from {schema}.pg_stat_statements_info() as i
