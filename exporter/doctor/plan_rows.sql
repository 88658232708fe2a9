-- A handful of jobs that run now.
select j.id
from {schema}.river_job as j
where j.state = 'running'
order by j.id desc
limit %(rows)s
