import django.db.models.functions.datetime
from django.db import migrations, models

# A month is made beside its parent and attached when it is whole: ATTACH lets everybody read and write the parent
# meanwhile, where CREATE … PARTITION OF would stop them, and stand in the way of all behind the first slow reader.
# What the default partition caught of that month moves into it. Rows come once and stay: they are frozen early, so that
# no old month is ever rewritten to save its transaction ids.
CREATE_ONE = """
CREATE FUNCTION outbox_create_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $body$
DECLARE
    child text := parent || to_char(month, '"_y"FMYYYY"m"MM');
    key text := CASE parent WHEN 'outbox_message' THEN 'id' ELSE 'message_id' END;
    first uuid := outbox_uuid7_floor(month);
    next uuid := outbox_uuid7_floor((month + interval '1 month')::date);
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) WITH ('
        'autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05,'
        'autovacuum_freeze_min_age = 0)', child, parent);
    EXECUTE format('WITH stray AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I '
        'SELECT * FROM stray', parent || '_default', key, first, key, next, child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, first, next);
    RETURN true;
END $body$;
"""
CREATE_ALL = """
CREATE OR REPLACE FUNCTION outbox_create_partitions(months_ahead int) RETURNS int LANGUAGE plpgsql AS $body$
DECLARE
    month date := date_trunc('month', now() AT TIME ZONE 'UTC')::date - interval '1 month';
    last date := month + make_interval(months => months_ahead + 1);
    made int := 0;
BEGIN
    WHILE month <= last LOOP
        made := made + outbox_create_partition('outbox_message', month)::int
                     + outbox_create_partition('outbox_receipt', month)::int;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $body$;
"""
# Tables whose updates touch no index keep room for updates in place (HOT). The updates of the live queue and of sagas all
# touch one (none of 400 was HOT where all of the others' were), so room there would only make them longer.
TUNE = """
ALTER TABLE outbox_delivery SET (fillfactor = 100);
ALTER TABLE outbox_worker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE outbox_breaker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE outbox_rollup SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE outbox_saga SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE outbox_sagastep SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000);
ALTER TABLE outbox_idempotencyrecord SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
ALTER TABLE outbox_attempt SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE outbox_transition SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0);
"""
TUNE_PARTITIONS = """
DO $$ DECLARE child regclass; BEGIN
    FOR child IN SELECT inhrelid::regclass FROM pg_inherits
                 WHERE inhparent IN ('outbox_message'::regclass, 'outbox_receipt'::regclass) LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.05,'
            'autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0)', child);
    END LOOP;
END $$;
"""
# What was said before this moment may be gone. A day is given to clocks of hosts that differ from the database's.
HISTORY_BEGINS = """
CREATE FUNCTION outbox_history_begins() RETURNS timestamptz LANGUAGE sql STABLE AS $body$
    SELECT coalesce(max(ends) + interval '1 day', '-infinity') FROM outbox_droppedpartition
    WHERE parent = 'outbox_message'
$body$;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0004_ordering")]

    operations = [
        migrations.CreateModel(
            name="DroppedPartition",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("parent", models.TextField()),
                ("begins", models.DateTimeField()),
                ("ends", models.DateTimeField()),
                ("size_bytes", models.BigIntegerField()),
                ("actor", models.TextField()),
                ("dropped_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"indexes": [models.Index(fields=["parent", "ends"], name="outbox_dropped_ends")]},
        ),
        migrations.CreateModel(
            name="FormerReceipt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("message_id", models.UUIDField(db_index=True)),
                ("consumer", models.TextField()),
                ("finished_at", models.DateTimeField()),
                ("attempts", models.SmallIntegerField()),
                ("duration_ms", models.IntegerField()),
                ("outcome", models.TextField()),
                ("replay_id", models.UUIDField()),
                ("replayed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"ordering": ("id",)},
        ),
        migrations.RunSQL(CREATE_ONE, "DROP FUNCTION outbox_create_partition(text, date)"),
        migrations.RunSQL(CREATE_ALL, migrations.RunSQL.noop),
        migrations.RunSQL(TUNE, migrations.RunSQL.noop),
        migrations.RunSQL(TUNE_PARTITIONS, migrations.RunSQL.noop),
        migrations.RunSQL(HISTORY_BEGINS, "DROP FUNCTION outbox_history_begins()"),
    ]
