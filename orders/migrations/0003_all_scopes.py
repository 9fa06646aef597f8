"""Keys that could do everything there was can do what is new, too; limited ones stay as limited as they were."""

from django.db import migrations

FORMER = "'orders:read', 'orders:write', 'payments:read'"
NEW = "'events:read', 'webhooks:read', 'webhooks:write', 'keys:read', 'keys:write'"


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_order_by_id_ending"),
    ]

    operations = [
        migrations.RunSQL(
            f"""
            UPDATE orders_apikey SET scopes = ARRAY(
                SELECT DISTINCT scope FROM unnest(scopes || ARRAY[{NEW}]::varchar[]) AS scope ORDER BY scope
            ) WHERE scopes @> ARRAY[{FORMER}]::varchar[]
            """,
            migrations.RunSQL.noop,
        ),
    ]
