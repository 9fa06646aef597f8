from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('fulfillment', '0003_returns'),
    ]

    operations = [
        ValidateConstraint('stockmovement', name='fulfillment_movement_kind'),
        ValidateConstraint('stockmovement', name='fulfillment_return_names_itself'),
    ]
