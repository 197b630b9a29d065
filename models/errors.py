"""What this room refuses.

ValueError
└── ModelError                a recipe or artifact that no retry can mend
    ├── UnknownBase           the base model cannot be found, verified or loaded
    ├── SettingExceedsModel   a setting that the base, or this machine, cannot take
    ├── AdapterDiffers        a merged adapter answers otherwise than it did beside the weights
    ├── TrainingDiverged      the loss is not finite
    └── OverBudget            more than the recipe's `budget` allows; what is stored goes on with more
RuntimeError
└── TrainingInterrupted       SIGTERM ended a training; a rerun continues it
"""


class ModelError(ValueError):
    """A permanent problem with a model or its settings."""


class UnknownBase(ModelError):
    """The base model cannot be found, verified or loaded."""


class SettingExceedsModel(ModelError):
    """A setting asks for more than the base model has."""


class TrainingDiverged(ModelError):
    """The training or validation loss became NaN or infinite."""


class OverBudget(ModelError):
    """A run would exceed the recipe's `budget`, or has. What it finished, and its last step, are kept."""


class TrainingInterrupted(RuntimeError):
    """SIGTERM ended a training after a step; its checkpoint is saved. A fault, no verdict."""


class AdapterDiffers(ModelError):
    """The merged or the reloaded model does not answer as the adapted one did."""
