from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("lab", "0002_colour")]

    operations = [AddIndexConcurrently("effect", models.Index(fields=["number"], name="lab_effect_number"))]
