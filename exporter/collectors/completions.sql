-- The job of each final state that finished last, of those committed: one descent of
-- river_job_state_and_finalized_at_index per state.
select
    final.state,
    s.finalized,
    s.age,
    s.run
from (
    values ('completed'), ('cancelled'), ('discarded')
) as final (state)
cross join lateral (
    select
        extract(epoch from j.finalized_at)::float8 as finalized,
        extract(epoch from clock_timestamp() - j.finalized_at)::float8 as age,
        extract(epoch from j.finalized_at - j.attempted_at)::float8 as run
    from {schema}.river_job as j
    where j.state = final.state::{schema}.river_job_state and j.finalized_at is not null
    order by j.finalized_at desc
    limit 1
) as s
