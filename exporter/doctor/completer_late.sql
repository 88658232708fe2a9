-- The last completions within the window of seconds, and what is running: both by the index on state and finalized_at, at most 500 each.
with latest as (
    select
        j.finalized_at,
        case when current_setting('track_commit_timestamp') = 'on' then pg_xact_commit_timestamp(j.xmin) end as committed
    from {schema}.river_job as j
    where j.state = 'completed' and j.finalized_at is not null
    order by j.finalized_at desc
    limit 500
)
select
    (count(*) filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s)))::int as completed,
    (
        max(extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as lag,
    (
        percentile_disc(0.5) within group (order by extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as usual,
    (
        min(extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as least,
    extract(epoch from clock_timestamp() - max(l.finalized_at))::float8 as since,
    extract(epoch from max(l.finalized_at))::float8 as newest,
    (
        select count(*)::int
        from (select from {schema}.river_job as r where r.state = 'running' limit 30000) as running
    ) as running
from latest as l
