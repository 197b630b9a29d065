"""What a model that fills in blanks cannot be asked."""

from pathlib import Path

from models.errors import SettingExceedsModel


def check_metric(field: str, metric: str, path: Path, name: str) -> None:
    """Raises SettingExceedsModel where a model that fills in blanks is asked for its loss per byte."""
    if metric != "loss_per_byte":
        return
    from transformers import AutoConfig

    from models.language_model import is_masked

    if is_masked(AutoConfig.from_pretrained(path, trust_remote_code=False)):
        raise SettingExceedsModel(
            f"base.model={name!r} fills in blanks, and what they cost compares with no other model's "
            f"loss: it has no {metric}; leave it out of base.candidates, or set {field}: "
            "loss_per_token"
        )
