-- Sessions of this database that do not show what they do: track_activities is off for them.
select count(*)::int as number
from pg_catalog.pg_stat_activity as a
where a.datname = current_database() and a.state = 'disabled'
