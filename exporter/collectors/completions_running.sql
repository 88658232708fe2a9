-- Jobs that run, at most 200 of them, with how long they have: the live states come first in the fetching index.
select
    j.id,
    j.kind,
    extract(epoch from clock_timestamp() - j.attempted_at)::float8 as age,
    extract(epoch from j.attempted_at)::float8 as attempted
from {schema}.river_job as j
where j.state = 'running' and j.attempted_at is not null
limit 200
