from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("lab", "0001_initial")]

    operations = [
        migrations.AddField("effect", "colour", models.TextField(db_default="grey", default="grey")),
    ]
