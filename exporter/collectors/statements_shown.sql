-- Texts of statements that sessions of this database show: none, as PostgreSQL 13 does not tell their ids.
select
    0::int8 as queryid,
    ''::text as query
where false and 0 = any(%(ids)s::int8[])
