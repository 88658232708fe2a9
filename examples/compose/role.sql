-- Made by `make generate`: what `river-exporter setup-sql` prints.
-- The least a running exporter needs. Run it in River's database as a superuser; run it again
-- after River's next migration, or when a schema is added. It takes no right away, and what an older one
-- granted keeps working for what it covers.
do $river_exporter$ begin
  if not exists (select from pg_roles where rolname = 'river_exporter') then
    create role "river_exporter" login;
  end if;
end $river_exporter$;
-- give it a password without showing one: \password "river_exporter"
alter role "river_exporter" login connection limit 6;
-- the statistics views: other users' statements, waits and locks
grant pg_monitor to "river_exporter";
-- River in schema "public": no job's arguments, metadata or errors
grant usage on schema "public" to "river_exporter";
grant select (id, state, queue, kind, priority, attempt, scheduled_at, attempted_at, finalized_at, attempted_by, xmin, cmin) on "public".river_job to "river_exporter";
do $river_exporter$ declare t text; begin
  for t in select relname from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname = 'public' and relkind in ('r', 'p', 'v') and relname in ('river_leader', 'river_queue', 'river_client', 'river_client_queue', 'river_migration') loop
    execute format('grant select on %I.%I to %I', 'public', t, 'river_exporter');
  end loop;
end $river_exporter$;
