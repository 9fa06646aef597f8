from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # an index that does not keep others from writing cannot be built inside a transaction

    dependencies = [
        ('outbox', '0007_destinations'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='fair_key',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='turn',
            field=models.BigIntegerField(null=True),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'ready'), ('turn__isnull', False)), fields=['consumer', 'priority', 'turn', 'id'], name='outbox_delivery_fair'),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('fair_key__isnull', False)), fields=['consumer', 'fair_key', 'turn'], name='outbox_delivery_rounds'),
        ),
    ]
