-- Tells zonesync of changes in the management repository at once, instead of within its probe.
--
-- Run it as the owner of the tables, in their schema (set search_path to it first). It adds, per table
-- that zonesync reads, triggers that run once per statement and send the table's name and, for a few
-- rows, their ids over the channel `zonesync_changes`: never what a row holds. Keys older than API
-- Management 3.12.1 have the key itself as id, so of keys no id is sent.
--
-- A table prefix must be added to the names by hand. To take it back:
--     drop function zonesync_changed() cascade;

create or replace function zonesync_changed() returns trigger language plpgsql as $$
declare
    ids text;
begin
    if tg_argv[0] is not null then
        execute format('select string_agg(x.id, '','') from (select %I::text as id from changed limit 50) x',
                       tg_argv[0]) into ids;
    end if;
    -- A statement that changes nothing has nothing to tell.
    if tg_argv[0] is null or ids is not null then
        perform pg_notify('zonesync_changes', tg_table_name || ':' || coalesce(ids, ''));
    end if;
    return null;
end
$$;

do $$
declare
    of record;
begin
    for of in select * from (values ('events_latest', 'id'), ('subscriptions', 'id'), ('keys', null),
                             ('licenses', 'reference_id'), ('access_points', 'id')) as t (name, id) loop
        execute format('drop trigger if exists zonesync_insert on %I', of.name);
        execute format('drop trigger if exists zonesync_update on %I', of.name);
        execute format('drop trigger if exists zonesync_delete on %I', of.name);
        execute format('create trigger zonesync_insert after insert on %I referencing new table as changed '
                       'for each statement execute function zonesync_changed(%s)',
                       of.name, coalesce(quote_literal(of.id), ''));
        execute format('create trigger zonesync_update after update on %I referencing new table as changed '
                       'for each statement execute function zonesync_changed(%s)',
                       of.name, coalesce(quote_literal(of.id), ''));
        execute format('create trigger zonesync_delete after delete on %I referencing old table as changed '
                       'for each statement execute function zonesync_changed(%s)',
                       of.name, coalesce(quote_literal(of.id), ''));
    end loop;
end
$$;
