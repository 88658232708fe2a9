-- The oldest finished job of each final state that has one: the first entry of river_job_state_and_finalized_at_index.
select
    final.state::text as state,
    extract(epoch from oldest.finalized_at)::float8 as finalized,
    extract(epoch from clock_timestamp() - oldest.finalized_at)::float8 as age
from unnest(array['cancelled', 'completed', 'discarded']::{schema}.river_job_state[]) as final (state)
cross join lateral (
    select j.finalized_at
    from {schema}.river_job as j
    where j.state = final.state and j.finalized_at is not null
    order by j.finalized_at
    limit 1
) as oldest
