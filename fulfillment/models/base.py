"""What the rows of fulfilment have in common."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from outbox.machines import StateMachine


def one_of(column: str, choices: type[models.TextChoices], name: str) -> models.CheckConstraint:
    """Return the constraint that `column` holds one of `choices`."""
    return models.CheckConstraint(condition=Q((f"{column}__in", choices.values)), name=name)


class Noting(models.Model):
    """A row of which single columns are saved."""

    class Meta:
        abstract = True

    def note(self, **changes: Any) -> None:
        """Save `changes` and nothing else."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.save(update_fields=list(changes))


class Stateful(Noting):
    """A row whose status moves along its machine."""

    machine: ClassVar[StateMachine]
    status: Any

    class Meta:
        abstract = True

    def advance(self, status: str, **changes: Any) -> None:
        """Move to `status` and save `changes` with it; the caller holds the row's lock. Raises IllegalTransition."""
        self.machine.check(self.status, status)
        self.note(status=status, **changes)
