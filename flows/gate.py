"""The `gate` part of a recipe: the policy that decides, and whether a person has the last word."""

from typing import Literal

from pydantic import Field

from records.policy import GatePolicy


class GateConfig(GatePolicy):
    """GatePolicy is part of every decision's record and key; what is added here is not."""

    approval: Literal["none", "required"] = Field(
        "none", description="required: a person must approve what the gate would promote."
    )
    approval_hours: float = Field(
        72.0, gt=0, le=24 * 365, description="Without an answer it counts as refused, hours."
    )

    @property
    def policy(self) -> GatePolicy:
        """What the verdict depends on."""
        return GatePolicy.model_validate(self.model_dump(include=set(GatePolicy.model_fields)))
