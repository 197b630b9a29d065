"""QLoRA: the base in four bits while its adapters are trained, and in full again to be merged.

Source: Dettmers et al. 2023, QLoRA: Efficient Finetuning of Quantized LLMs.
"""

import copy
import importlib.util
from typing import Any

import torch

from models.config import TrainConfig
from models.depth import linear_layers
from models.device import attention_kind, training_dtype
from models.errors import SettingExceedsModel

LIBRARY = "bitsandbytes"


def check_four_bit() -> None:
    """Raises SettingExceedsModel, naming all that is missing, where this machine cannot do it."""
    problems = four_bit_problems()
    if problems:
        raise SettingExceedsModel(
            f"train.strategy='qlora' needs a CUDA card and {LIBRARY}; {', and '.join(problems)}; "
            "or use train.strategy: lora"
        )


def four_bit_problems() -> list[str]:
    """What this machine lacks, each with the next step where there is one."""
    problems = []
    if not torch.cuda.is_available():
        problems.append("this machine has no card")
    if importlib.util.find_spec(LIBRARY) is None:
        problems.append(f"{LIBRARY} is not installed: pip install -c constraints.txt -e '.[qlora]'")
    return problems


def four_bit_options(head: Any, known: Any, config: TrainConfig) -> dict[str, Any]:
    """Arguments of `from_pretrained` that load the layers inside blocks as NF4, and the rest in fp32.

    Args:
        head: class of the model with its head.
        known: configuration of the base.
        config: the recipe's `train`; nothing for other strategies than qlora.

    Raises:
        SettingExceedsModel: this machine cannot do it.
    """
    if config.strategy != "qlora":
        return {}
    check_four_bit()
    from transformers import BitsAndBytesConfig

    with torch.device("meta"):
        shape = head.from_config(known)
    inside = set(linear_layers(shape))
    others = [
        n for n, part in shape.named_modules() if not list(part.children()) and n not in inside
    ]
    is_bf16 = training_dtype(config.precision) == "bf16"
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if is_bf16 else torch.float32,
        llm_int8_skip_modules=others,
    )
    return {"quantization_config": quantisation}


def in_full(model: Any, path: Any) -> Any:
    """The plain model under an adapted one, with the weights of `path` in fp32 instead of four bits.

    What the base did not bring is drawn anew; the adapted model holds it as trained.
    """
    core = model.get_base_model()
    known = copy.deepcopy(core.config)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(known, name):
            delattr(known, name)
    full = type(core).from_pretrained(
        path,
        config=known,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        attn_implementation=attention_kind(),
        ignore_mismatched_sizes=True,
    )
    if core.can_generate():
        full.generation_config = core.generation_config
    return full.to(model.device)
