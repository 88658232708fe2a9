-- Transactions of this database that were rolled back, as pg_stat_database has it.
select pg_stat_get_db_xact_rollback((select oid from pg_catalog.pg_database where datname = current_database())) as number
