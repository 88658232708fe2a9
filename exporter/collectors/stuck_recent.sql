-- Of the last 1,000 jobs that completed: the longest run by kind and client, and when the client took its last.
select
    recent.kind,
    coalesce(recent.client, '') as client,
    max(extract(epoch from recent.finalized_at - recent.attempted_at))::float8 as longest,
    extract(epoch from max(recent.attempted_at))::float8 as taken
from (
    select
        j.kind,
        j.finalized_at,
        j.attempted_at,
        j.attempted_by[array_upper(j.attempted_by, 1)] as client
    from {schema}.river_job as j
    where j.state = 'completed' and j.finalized_at is not null and j.attempted_at is not null
    order by j.finalized_at desc
    limit 1000
) as recent
group by recent.kind, recent.client
