-- The newest migration of River's main line.
select max(m.version)::int8 as version
from {schema}.river_migration as m
where m.line = 'main'
