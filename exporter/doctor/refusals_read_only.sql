-- Where default_transaction_read_only is on for River: the owner of the setting, as ALTER names it.
select 'SYSTEM' as owner
from pg_catalog.pg_settings as s
where s.name = 'default_transaction_read_only' and s.setting = 'on' and s.source in ('configuration file', 'command line')
union all
select
    case
        when d.datname is null then format('ROLE %%I', r.rolname)
        when r.rolname is null then format('DATABASE %%I', d.datname)
        else format('ROLE %%I IN DATABASE %%I', r.rolname, d.datname)
    end
from pg_catalog.pg_db_role_setting as o
cross join lateral unnest(o.setconfig) as option (text)
left join pg_catalog.pg_database as d on d.oid = o.setdatabase
left join pg_catalog.pg_roles as r on r.oid = o.setrole
where
    option.text in (
        'default_transaction_read_only=on', 'default_transaction_read_only=true', 'default_transaction_read_only=1'
    )
    and coalesce(d.datname = current_database(), true)
    and coalesce(r.rolname = any(%(users)s::text[]), true)
