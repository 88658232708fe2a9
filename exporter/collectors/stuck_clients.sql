-- Clients alive, where this River keeps its table of them up to date; none where it does not.
select c.id as client
from {schema}.river_client as c
where c.updated_at > now() - interval '5 minutes'
limit 1000
