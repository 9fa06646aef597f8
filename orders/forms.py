"""What staff may send."""

from collections.abc import Sequence
from typing import Any

from django import forms

from fulfillment.facade import ReturnedLine

REASON_ERRORS = {"required": "Give a reason; the customer reads it.", "min_length": "A few more words, please."}


class ReasonForm(forms.Form):
    """Why something is done to an order, and which version of it the person saw."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        error_messages=REASON_ERRORS,
    )
    version = forms.IntegerField(min_value=1)


class ReviewForm(ReasonForm):
    """What a person decided about an order that is held for a review."""

    decision = forms.ChoiceField(choices=[("pass", "Let it pass"), ("refuse", "Refuse it")])


class SwitchForm(forms.Form):
    """Whether a webhook endpoint is sent anything, and why that is changed."""

    enabled = forms.ChoiceField(choices=[("yes", "Enable"), ("no", "Disable")])
    reason = forms.CharField(min_length=3, max_length=500)


class ReplayForm(forms.Form):
    """How far back a webhook endpoint is sent again what happened."""

    hours = forms.IntegerField(min_value=1, max_value=720)


class DecisionForm(forms.Form):
    """What a person decided about a return, and why."""

    dialog = "decision"
    reason = forms.CharField(min_length=3, max_length=500, error_messages=REASON_ERRORS)
    decision = forms.ChoiceField(choices=[("approve", "Approve it"), ("end", "End it")])


class ReceptionForm(forms.Form):
    """Where returned goods arrived."""

    dialog = "receive"
    warehouse = forms.ChoiceField(error_messages={"required": "Say where the goods are."})

    def __init__(self, data: Any, *, warehouses: Sequence[tuple[str, str]]) -> None:
        super().__init__(data)
        field = self.fields["warehouse"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = warehouses


class InspectionForm(forms.Form):
    """What was found of each line of a return, by its place: sellable and damaged pieces; the rest is refused."""

    dialog = "inspect"

    def __init__(self, data: Any, *, lines: Sequence[ReturnedLine]) -> None:
        super().__init__(data)
        self.lines = lines
        for place, line in enumerate(lines):
            for found in ("sellable", "damaged"):
                self.fields[f"{found}_{place}"] = forms.IntegerField(min_value=0, max_value=line.quantity)

    def clean(self) -> dict[str, Any]:
        """Refuse more pieces than were announced."""
        wish: dict[str, Any] = super().clean() or {}
        for place, line in enumerate(self.lines):
            if wish.get(f"sellable_{place}", 0) + wish.get(f"damaged_{place}", 0) > line.quantity:
                raise forms.ValidationError(f"Of {line.sku}, {line.quantity} were announced: count again.")
        return wish
