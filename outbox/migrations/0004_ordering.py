from django.db import migrations, models

# Its rows come and go with the deliveries: vacuum by count, and leave room for the counter to change in place.
HOT_TABLE = """
ALTER TABLE outbox_ordering_key SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0003_worker_knows'),
    ]

    operations = [
        migrations.CreateModel(
            name='OrderingKey',
            fields=[
                ('pk', models.CompositePrimaryKey('consumer', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('consumer', models.TextField()),
                ('key', models.TextField()),
                ('last', models.BigIntegerField()),
            ],
            options={
                'db_table': 'outbox_ordering_key',
            },
        ),
        migrations.RunSQL(HOT_TABLE, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name='delivery',
            name='outbox_delivery_state',
        ),
        migrations.AddField(
            model_name='delivery',
            name='deliver_by',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='ordering_key',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='place',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='state',
            field=models.TextField(choices=[('ready', 'Ready'), ('scheduled', 'Scheduled'), ('held', 'Held'), ('leased', 'In a call'), ('isolated', 'Runs alone'), ('parked', 'Parked'), ('dead', 'Dead letter')], db_default='ready', default='ready'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('deliver_by__isnull', False), models.Q(('state__in', ['leased', 'dead']), _negated=True)), fields=['deliver_by'], name='outbox_delivery_deadline'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['ready', 'scheduled', 'held', 'leased', 'isolated', 'parked', 'dead'])), name='outbox_delivery_state'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ordering_key__isnull', True), ('place__isnull', True), models.Q(('state', 'held'), _negated=True)), models.Q(('ordering_key__isnull', False), ('place__isnull', False)), _connector='OR'), name='outbox_delivery_place'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(condition=models.Q(('ordering_key__isnull', False)), fields=('consumer', 'ordering_key', 'place'), name='outbox_delivery_in_order'),
        ),
    ]
