-- River's leader: at most one row.
select
    l.leader_id as leader,
    extract(epoch from l.elected_at)::float8 as elected,
    extract(epoch from l.expires_at - clock_timestamp())::float8 as lease
from {schema}.river_leader as l
order by l.expires_at desc
limit 1
