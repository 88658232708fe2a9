-- What server this is, and as whom we look at it.
select
    current_setting('server_version_num')::int as version,
    pg_is_in_recovery() as standby,
    (select oid from pg_database where datname = current_database())::int8 as database,
    quote_ident(current_user) as role
