-- Settings by name, in their base units. A session that idles in a transaction may be ended by a setting of its role, too.
select
    s.name,
    case
        when s.name = 'idle_in_transaction_session_timeout' and s.setting = '0' then
            coalesce(
                (
                    select 'by role'
                    from pg_catalog.pg_db_role_setting as r
                    cross join lateral unnest(r.setconfig) as option (text)
                    where option.text like 'idle_in_transaction_session_timeout=%%' and option.text not like '%%=0'
                    limit 1
                ),
                s.setting
            )
        else s.setting
    end as setting
from pg_catalog.pg_settings as s
where s.name = any(%(names)s)
