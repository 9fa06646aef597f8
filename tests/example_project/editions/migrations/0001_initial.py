import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Edition',
            fields=[
                ('number', models.IntegerField(primary_key=True, serialize=False)),
                ('copies', models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='PrintOrder',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, primary_key=True, serialize=False)),
                ('street', models.TextField()),
                ('has_copy', models.BooleanField(default=False)),
                ('outcome', models.TextField(default='')),
                ('edition', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='editions.edition')),
            ],
        ),
    ]
