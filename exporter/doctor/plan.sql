-- A statement of the completer's shape: a list of ids in, their rows set to completed, the rows out.
explain (analyze, buffers, timing, format json)
with done as (
    select unnest(%(ids)s::bigint[]) as id, clock_timestamp() as finalized_at
)
update {schema}.river_job as j
set state = 'completed', finalized_at = d.finalized_at
from done as d
where j.id = d.id and j.state = 'running'
returning j.id
