-- Standbys that commits wait for. A lag is what the standby reported last; when it has not confirmed all since, it is at
-- least as long as its silence.
select
    current_setting('synchronous_standby_names') as names,
    count(*) filter (where r.state = 'streaming')::int8 as connected,
    extract(epoch from max(greatest(r.write_lag, case when r.write_lsn < r.sent_lsn then r.silence end)))::float8 as write,
    extract(epoch from max(greatest(r.flush_lag, case when r.flush_lsn < r.sent_lsn then r.silence end)))::float8 as flush,
    extract(epoch from max(greatest(r.replay_lag, case when r.replay_lsn < r.sent_lsn then r.silence end)))::float8
        as replay
from (
    select
        s.*,
        clock_timestamp() - s.reply_time as silence
    from pg_catalog.pg_stat_replication as s
    where s.sync_state in ('sync', 'quorum')
) as r
