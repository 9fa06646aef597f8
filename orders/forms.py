"""What staff may send."""

from django import forms


class CancellationForm(forms.Form):
    """Why an order is cancelled, and which version of it the person saw."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        error_messages={"required": "Give a reason; the customer reads it.", "min_length": "A few more words, please."},
    )
    version = forms.IntegerField(min_value=1)
