"""One call to the front: its form parameters and its idempotency key."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from config.sandboxes.payments.errors import invalid
from config.sandboxes.payments.provider import Pairs


@dataclass(frozen=True)
class Call:
    """Parameters as `name` or `name[part]`; `resumed` when an earlier run with the same key broke off."""

    pairs: Pairs
    key: str | None = None
    resumed: bool = False
    marker: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "marker", self.marker or self.key or secrets.token_hex(16))

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.pairs if key == name), None)

    def only(self, *names: str) -> Pairs:
        """The parameters under these names; the provider refuses names that it does not know."""
        return [(key, value) for key, value in self.pairs if key.partition("[")[0] in names]

    def truth(self, name: str) -> bool:
        return (self.get(name) or "").lower() == "true"

    def whole(self, name: str, *, lowest: int = 1) -> int | None:
        """A whole number, or None when it is not given; raises StripeError for anything else."""
        text = self.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()) or int(text) < lowest:
            code = "parameter_invalid_integer"
            raise invalid(f"{name} must be a whole number of at least {lowest}.", param=name, code=code)
        return int(text)

    def expands(self, name: str) -> bool:
        return any(key.startswith("expand[") and value == name for key, value in self.pairs)

    def require(self, names: Iterable[str]) -> None:
        for name in names:
            if not self.get(name):
                raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
