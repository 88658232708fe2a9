-- For how many seconds jobs have been marked running, at most 10,000 of them, by kind and by the client that took them.
select
    job.kind,
    coalesce(job.client, '') as client,
    array_agg(extract(epoch from clock_timestamp() - job.attempted_at)::float8) as ages,
    extract(epoch from max(job.attempted_at))::float8 as taken
from (
    select
        j.kind,
        j.attempted_at,
        j.attempted_by[array_upper(j.attempted_by, 1)] as client
    from {schema}.river_job as j
    where j.state = 'running' and j.attempted_at is not null
    limit 10000
) as job
group by job.kind, job.client
