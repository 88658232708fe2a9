-- Whose numbers these are: one run of one server.
select
    (select system_identifier from pg_control_system()) as system,
    extract(epoch from pg_postmaster_start_time())::float8 as started
