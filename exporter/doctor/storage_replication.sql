-- Who is waited for, who is there, and who waits.
select
    current_setting('synchronous_standby_names') as names,
    current_setting('synchronous_commit') as commit,
    (
        select count(*)::int from pg_catalog.pg_stat_replication as r where r.sync_state in ('sync', 'quorum')
    ) as connected,
    (
        select count(*)::int from pg_catalog.pg_stat_activity as a where lower(a.wait_event) = 'syncrep'
    ) as waiting,
    (
        select extract(epoch from max(r.replay_lag))::float8
        from pg_catalog.pg_stat_replication as r where r.sync_state in ('sync', 'quorum')
    ) as behind
