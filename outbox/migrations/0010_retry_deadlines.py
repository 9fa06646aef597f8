from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0009_operate_breaker'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='tried_since',
            field=models.DateTimeField(null=True),
        ),
    ]
