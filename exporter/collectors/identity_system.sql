-- One cluster from another after a failover: pg_control_system() is PUBLIC's since 9.6, unless that was revoked.
select system_identifier as value
from pg_control_system()
