

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.db import migrations, models


# Message and receipt are partitioned by month of their UUIDv7, so Django only knows their shape.
MESSAGE_TABLE = """
CREATE TABLE outbox_message (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('event', 'command')),
    aggregate text NOT NULL,
    aggregate_id uuid NOT NULL,
    payload jsonb NOT NULL CHECK (octet_length(payload::text) <= 131072),
    headers jsonb NOT NULL DEFAULT '{}',
    correlation_id uuid NOT NULL,
    causation_id uuid,
    actor text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
) PARTITION BY RANGE (id);
CREATE INDEX outbox_message_correlation ON outbox_message (correlation_id);
CREATE INDEX outbox_message_aggregate ON outbox_message (aggregate_id);
COMMENT ON COLUMN outbox_message.xid IS 'the transaction that wrote it: the same as that of the transitions it tells of';
"""
RECEIPT_TABLE = """
CREATE TABLE outbox_receipt (
    message_id uuid NOT NULL,
    consumer text NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    attempts smallint NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL DEFAULT 'done',
    PRIMARY KEY (message_id, consumer)
) PARTITION BY RANGE (message_id);
"""
PARTITIONS = """
CREATE FUNCTION outbox_create_partitions(months_ahead int) RETURNS int LANGUAGE plpgsql AS $body$
DECLARE
    month date := date_trunc('month', now() AT TIME ZONE 'UTC')::date - interval '1 month';
    last date := month + make_interval(months => months_ahead + 1);
    parent text; child text; made int := 0;
BEGIN
    WHILE month <= last LOOP
        FOREACH parent IN ARRAY ARRAY['outbox_message', 'outbox_receipt'] LOOP
            child := parent || to_char(month, '"_y"YYYY"m"MM');
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                               outbox_uuid7_floor(month), outbox_uuid7_floor((month + interval '1 month')::date));
                made := made + 1;
            END IF;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $body$;
"""
UUID7_FLOOR = """
CREATE FUNCTION outbox_uuid7_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $body$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$body$;
"""
DEFAULTS = """
CREATE TABLE outbox_message_default PARTITION OF outbox_message DEFAULT;
CREATE TABLE outbox_receipt_default PARTITION OF outbox_receipt DEFAULT;
SELECT outbox_create_partitions(2);
"""
# The live queue is rewritten all day: vacuum it by count, not by share, and leave room for updates in place.
HOT_TABLES = """
ALTER TABLE outbox_delivery SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000);
ALTER TABLE outbox_worker SET (fillfactor = 50);
ALTER TABLE outbox_rollup SET (fillfactor = 70);
"""
TRANSITIONS = """
ALTER TABLE outbox_transition ALTER COLUMN at SET DEFAULT clock_timestamp();
ALTER TABLE outbox_transition ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
"""
APPEND_ONLY = """
CREATE FUNCTION outbox_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $body$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON outbox_auditentry
    FOR EACH ROW EXECUTE FUNCTION outbox_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON outbox_transition
    FOR EACH ROW EXECUTE FUNCTION outbox_refuse_change();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('message_id', models.UUIDField(db_index=True)),
                ('consumer', models.TextField()),
                ('number', models.SmallIntegerField()),
                ('kind', models.TextField()),
                ('error_class', models.TextField()),
                ('error', models.TextField()),
                ('fingerprint', models.TextField()),
                ('traceback', models.TextField(default='')),
                ('duration_ms', models.IntegerField(null=True)),
                ('worker_id', models.UUIDField(null=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='Breaker',
            fields=[
                ('destination', models.TextField(primary_key=True, serialize=False)),
                ('state', models.TextField(choices=[('closed', 'Closed'), ('open', 'Open'), ('half_open', 'Half open')], db_default='closed', default='closed')),
                ('failures', models.IntegerField(db_default=0, default=0)),
                ('openings', models.IntegerField(db_default=0, default=0)),
                ('open_until', models.DateTimeField(null=True)),
                ('probe_until', models.DateTimeField(null=True)),
                ('throttled_until', models.DateTimeField(null=True)),
                ('reason', models.TextField(db_default='', default='')),
                ('consumers', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Receipt',
                    fields=[
                        ('pk', models.CompositePrimaryKey('message_id', 'consumer', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('message_id', models.UUIDField()),
                        ('consumer', models.TextField()),
                        ('finished_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ('attempts', models.SmallIntegerField()),
                        ('duration_ms', models.IntegerField()),
                        ('outcome', models.TextField(db_default='done', default='done')),
                    ],
                ),
            ],
            database_operations=[migrations.RunSQL(RECEIPT_TABLE, 'DROP TABLE outbox_receipt')],
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('pk', models.CompositePrimaryKey('minute', 'consumer', 'measure', blank=True, editable=False, primary_key=True, serialize=False)),
                ('minute', models.DateTimeField()),
                ('consumer', models.TextField()),
                ('measure', models.TextField()),
                ('value', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('host', models.TextField()),
                ('pid', models.IntegerField()),
                ('lock', models.IntegerField()),
                ('release', models.TextField(db_default='', default='')),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('consumer', models.TextField(db_default='', default='')),
                ('deliveries', models.JSONField(db_default=[], default=list)),
            ],
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('actor', models.TextField()),
                ('action', models.TextField()),
                ('subject', models.TextField()),
                ('reason', models.TextField()),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('correlation_id', models.UUIDField(null=True)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ('-id',),
                'indexes': [models.Index(fields=['subject'], name='outbox_audit_subject')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('message_id', models.UUIDField()),
                ('consumer', models.TextField()),
                ('state', models.TextField(choices=[('ready', 'Ready'), ('scheduled', 'Scheduled'), ('leased', 'In a call'), ('isolated', 'Runs alone'), ('parked', 'Parked'), ('dead', 'Dead letter')], db_default='ready', default='ready')),
                ('priority', models.SmallIntegerField(db_default=0, default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('waiting_for', models.TextField(db_default='', default='')),
                ('attempts', models.SmallIntegerField(db_default=0, default=0)),
                ('crashes', models.SmallIntegerField(db_default=0, default=0)),
                ('lease_owner', models.UUIDField(null=True)),
                ('lease_until', models.DateTimeField(null=True)),
                ('enqueued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_error', models.TextField(db_default='', default='')),
                ('fingerprint', models.TextField(db_default='', default='')),
                ('died_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'indexes': [models.Index(condition=models.Q(('state', 'ready')), fields=['consumer', 'priority', 'id'], name='outbox_delivery_ready'), models.Index(condition=models.Q(('state', 'scheduled')), fields=['due_at'], name='outbox_delivery_scheduled'), models.Index(condition=models.Q(('state', 'leased')), fields=['lease_until'], name='outbox_delivery_leased'), models.Index(condition=models.Q(('state', 'isolated')), fields=['id'], name='outbox_delivery_isolated'), models.Index(condition=models.Q(('state', 'dead')), fields=['died_at'], name='outbox_delivery_dead'), models.Index(condition=models.Q(('state', 'parked')), fields=['id'], name='outbox_delivery_parked')],
                'constraints': [models.UniqueConstraint(fields=('message_id', 'consumer'), name='outbox_delivery_once'), models.CheckConstraint(condition=models.Q(('state__in', ['ready', 'scheduled', 'leased', 'isolated', 'parked', 'dead'])), name='outbox_delivery_state'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'leased'), _negated=True), models.Q(('lease_owner__isnull', False), ('lease_until__isnull', False)), _connector='OR'), name='outbox_delivery_lease'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'scheduled'), _negated=True), ('due_at__isnull', False), _connector='OR'), name='outbox_delivery_due')],
            },
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
            ],
            options={
                'permissions': [('retry_deadletter', 'May retry dead letters'), ('discard_deadletter', 'May discard dead letters')],
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('outbox.delivery',),
        ),
        migrations.CreateModel(
            name='IdempotencyRecord',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('scope', models.TextField()),
                ('key', models.TextField()),
                ('request_hash', models.TextField()),
                ('response_status', models.SmallIntegerField()),
                ('response_headers', models.JSONField(default=dict)),
                ('response_body', models.BinaryField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['expires_at'], name='outbox_idempotency_expiry')],
                'constraints': [models.UniqueConstraint(fields=('scope', 'key'), name='outbox_idempotency_once')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Message',
                    fields=[
                        ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('name', models.TextField()),
                        ('version', models.SmallIntegerField()),
                        ('kind', models.TextField()),
                        ('aggregate', models.TextField()),
                        ('aggregate_id', models.UUIDField()),
                        ('payload', models.JSONField()),
                        ('headers', models.JSONField(default=dict)),
                        ('correlation_id', models.UUIDField()),
                        ('causation_id', models.UUIDField(null=True)),
                        ('actor', models.TextField(default='')),
                        ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ],
                    options={
                        'ordering': ('id',),
                        'indexes': [models.Index(fields=['correlation_id'], name='outbox_message_correlation'), models.Index(fields=['aggregate_id'], name='outbox_message_aggregate')],
                    },
                ),
            ],
            database_operations=[migrations.RunSQL(MESSAGE_TABLE, 'DROP TABLE outbox_message')],
        ),
        migrations.CreateModel(
            name='Saga',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('definition', models.TextField()),
                ('version', models.SmallIntegerField()),
                ('key', models.UUIDField()),
                ('status', models.TextField(choices=[('running', 'Running'), ('completed', 'Completed'), ('compensating', 'Compensating'), ('compensated', 'Compensated'), ('suspended', 'Suspended'), ('forward_stuck', 'Stuck going forward'), ('compensation_stuck', 'Stuck compensating')], default='running')),
                ('position', models.SmallIntegerField(default=0)),
                ('data', models.JSONField(default=dict)),
                ('early', models.JSONField(default=list)),
                ('reason_code', models.TextField(default='')),
                ('reason', models.TextField(default='')),
                ('correlation_id', models.UUIDField()),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('finished_at', models.DateTimeField(null=True)),
                ('deadline_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['key'], name='outbox_saga_key'), models.Index(condition=models.Q(('deadline_at__isnull', False), ('status__in', ['running', 'compensating'])), fields=['deadline_at'], name='outbox_saga_deadline'), models.Index(condition=models.Q(('status__in', ['completed', 'compensated']), _negated=True), fields=['status', 'updated_at'], name='outbox_saga_open')],
                'constraints': [models.UniqueConstraint(fields=('definition', 'key'), name='outbox_saga_once'), models.CheckConstraint(condition=models.Q(('status__in', ['running', 'completed', 'compensating', 'compensated', 'suspended', 'forward_stuck', 'compensation_stuck'])), name='outbox_saga_status')],
            },
        ),
        migrations.CreateModel(
            name='Transition',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('machine', models.TextField()),
                ('entity_id', models.UUIDField()),
                ('seq', models.IntegerField()),
                ('from_state', models.TextField()),
                ('to_state', models.TextField()),
                ('at', models.DateTimeField()),
            ],
            options={
                'ordering': ('id',),
                'constraints': [models.UniqueConstraint(fields=('machine', 'entity_id', 'seq'), name='outbox_transition_once')],
            },
        ),
        migrations.CreateModel(
            name='SagaStep',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('position', models.SmallIntegerField()),
                ('name', models.TextField()),
                ('status', models.TextField(choices=[('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('compensating', 'Compensating'), ('compensated', 'Compensated'), ('skipped', 'Skipped'), ('needs_attention', 'Needs attention')])),
                ('command_id', models.UUIDField(null=True)),
                ('reply_id', models.UUIDField(null=True)),
                ('compensation_id', models.UUIDField(null=True)),
                ('detail', models.TextField(default='')),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('finished_at', models.DateTimeField(null=True)),
                ('compensated_at', models.DateTimeField(null=True)),
                ('saga', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='outbox.saga')),
            ],
            options={
                'ordering': ('position',),
                'constraints': [models.UniqueConstraint(fields=('saga', 'position'), name='outbox_saga_step_once')],
            },
        ),
        migrations.RunSQL(UUID7_FLOOR, "DROP FUNCTION outbox_uuid7_floor(date)"),
        migrations.RunSQL(PARTITIONS, "DROP FUNCTION outbox_create_partitions(int)"),
        migrations.RunSQL(DEFAULTS, migrations.RunSQL.noop),
        migrations.RunSQL(HOT_TABLES, migrations.RunSQL.noop),
        migrations.RunSQL(TRANSITIONS, migrations.RunSQL.noop),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER append_only ON outbox_auditentry; DROP TRIGGER append_only ON outbox_transition;"
            " DROP FUNCTION outbox_refuse_change()",
        ),
    ]
