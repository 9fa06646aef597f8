from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    # Built while work goes on.
    atomic = False

    dependencies = [("outbox", "0005_retention")]

    operations = [AddIndexConcurrently("attempt", BrinIndex(fields=["at"], name="outbox_attempt_at"))]
