from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Built while orders are placed: a plain index would keep them waiting.
    atomic = False

    dependencies = [("orders", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                models.Func(
                    models.F("id"), template="right(%(expressions)s::text, 8)", output_field=models.TextField()
                ),
                name="order_by_id_ending",
            ),
        ),
    ]
