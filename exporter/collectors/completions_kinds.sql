-- How long jobs of each kind ran, among the last 200 that completed.
select
    recent.kind,
    max(extract(epoch from recent.finalized_at - recent.attempted_at))::float8 as seconds
from (
    select
        j.kind,
        j.finalized_at,
        j.attempted_at
    from {schema}.river_job as j
    where j.state = 'completed' and j.finalized_at is not null and j.attempted_at is not null
    order by j.finalized_at desc
    limit 200
) as recent
group by recent.kind
