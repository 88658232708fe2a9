-- Autovacuum workers at work, and how many there may be.
select
    count(*) filter (where a.backend_type = 'autovacuum worker')::float8 as running,
    current_setting('autovacuum_max_workers')::float8 as most
from pg_catalog.pg_stat_activity as a
