-- One run of a server from the next.
select extract(epoch from pg_postmaster_start_time())::float8 as value
