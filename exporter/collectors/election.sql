-- Takes each schema's lock if nobody holds it; never waits.
select
    wanted.schema,
    pg_try_advisory_lock(%(class)s, hashtext(wanted.schema)) as won
from unnest(%(schemas)s::text[]) as wanted (schema)
