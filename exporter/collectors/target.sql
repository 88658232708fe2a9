-- What server this is. pg_control_system() is PUBLIC's since 9.6 and tells one cluster from another after a failover.
select
    current_setting('server_version_num')::int as version,
    pg_is_in_recovery() as standby,
    (select system_identifier from pg_control_system()) as system,
    extract(epoch from pg_postmaster_start_time())::float8 as started,
    (select oid from pg_database where datname = current_database())::int8 as database
