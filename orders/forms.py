"""What staff may send."""

from django import forms


class ReasonForm(forms.Form):
    """Why something is done to an order, and which version of it the person saw."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        error_messages={"required": "Give a reason; the customer reads it.", "min_length": "A few more words, please."},
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
