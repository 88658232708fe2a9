-- How many jobs are marked running, at most 30,000, and of how many clients: the last of attempted_by made the attempt.
select
    count(*)::int8 as running,
    count(distinct job.client)::int8 as clients
from (
    select j.attempted_by[array_upper(j.attempted_by, 1)] as client
    from {schema}.river_job as j
    where j.state = 'running'
    limit 30000
) as job
