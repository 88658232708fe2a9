-- Jobs whose end was committed since the reading before (%(before)s, Unix time), by state and queue.
--
-- New is what the snapshot of the reading before did not see: so no row counts twice, and none is missed however late.
-- The cost is flat: the stretch of finalized_at since %(since)s is cut in slices, the newest is all since the reading
-- before, and of each at most so many rows are read, by river_job_state_and_finalized_at_index.
-- A row's cmin above 0 says that its transaction wrote before: then it was the user's, not the completer's.
with reading as (
    select
        pg_current_snapshot() as snapshot,
        now() as taken,
        current_setting('track_commit_timestamp') = 'on' as exact,
        to_timestamp(%(before)s::float8) as before,
        to_timestamp(%(since)s::float8) as since
),
slice as (
    select
        since + (before - since) * n / 12 as since,
        since + (before - since) * (n + 1) / 12 as until,
        2500 as most
    from reading cross join generate_series(0, 11) as n
    union all
    select before, 'infinity', 20000 from reading
),
seen as (
    select job.*
    from slice
    cross join unnest(array['completed', 'cancelled', 'discarded']::{schema}.river_job_state[]) as ended (state)
    cross join lateral (
        select j.id, j.state, j.queue, j.finalized_at, j.xmin, j.cmin::text = '0' and j.state = 'completed' as completer
        from {schema}.river_job as j
        where j.state = ended.state and j.finalized_at >= slice.since and j.finalized_at < slice.until
        order by j.finalized_at
        limit slice.most
    ) as job
),
ended as (
    select
        seen.*,
        reading.before,
        -- never before the reading that did not see it: behind a synchronous standby rows show late
        case when reading.exact then pg_xact_commit_timestamp(seen.xmin) else reading.taken end as committed_at
    from seen
    cross join reading
    where age(seen.xmin) <= age(%(xmax)s::text::xid) or seen.xmin = any(%(running)s::text[]::xid[])
),
bunch as (
    select
        state::text as state,
        queue,
        array_agg(id) as ids,
        array_agg(
            case when completer
                then extract(epoch from greatest(committed_at, before) - finalized_at)::float8
            end
        ) as lags,
        min(extract(epoch from committed_at - finalized_at)::float8) filter (where completer) as least,
        max(extract(epoch from finalized_at)::float8) filter (where completer) as finalized,
        max(extract(epoch from committed_at)::float8) filter (where completer) as committed
    from ended
    group by 1, 2
)
select
    extract(epoch from reading.taken)::float8 as taken,
    reading.exact,
    pg_snapshot_xmax(reading.snapshot)::xid::text as xmax,
    array(select xid::xid::text from pg_snapshot_xip(reading.snapshot) as xid) as running,
    bunch.*
from reading
left join bunch on true
