"""LoRETTA-on-Ray, the library: tensor-train adapters, zeroth-order trainers and the comparison of fine-tuning methods.

Importing it imports no torch: the public names below are loaded when they are first used, and its types are registered with PEFT when PEFT is imported,
before or after (`registration.py`). So `import loretta_core` is all that `PeftModel.from_pretrained` needs to read a saved LoRETTA adapter.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loretta_core.registration import register_with_peft

if TYPE_CHECKING:
    from loretta_core.adapters.as_lora import as_lora
    from loretta_core.adapters.build import load_adapter
    from loretta_core.adapters.tuners.bottleneck import BottleneckConfig
    from loretta_core.adapters.tuners.loretta_adp import LorettaAdpConfig
    from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig
    from loretta_core.adapters.tuners.tensor_family.lorta import LortaConfig
    from loretta_core.adapters.tuners.tensor_family.metatt import MetaTTConfig
    from loretta_core.adapters.tuners.tensor_family.tensorguide import TensorGuideConfig
    from loretta_core.adapters.tuners.tensor_family.tt_lora import TTLoraConfig
    from loretta_core.adapters.warm_start import warm_start
    from loretta_core.errors import LorettaError
    from loretta_core.tt.linear import TTLinear
    from loretta_core.tt.shapes import TTShape, tt_parameter_count, tt_shape
    from loretta_core.tt.svd import tt_round, tt_svd
    from loretta_core.zo.hf import ZOTrainer
    from loretta_core.zo.optim import ZOSGD, ZerothOrder

__all__ = [
    "ZOSGD",
    "BottleneckConfig",
    "LorettaAdpConfig",
    "LorettaError",
    "LorettaRepConfig",
    "LortaConfig",
    "MetaTTConfig",
    "TTLinear",
    "TTLoraConfig",
    "TTShape",
    "TensorGuideConfig",
    "ZOTrainer",
    "ZerothOrder",
    "as_lora",
    "load_adapter",
    "tt_parameter_count",
    "tt_round",
    "tt_shape",
    "tt_svd",
    "warm_start",
]

_HOMES = {
    "BottleneckConfig": "loretta_core.adapters.tuners.bottleneck",
    "LorettaAdpConfig": "loretta_core.adapters.tuners.loretta_adp",
    "LorettaError": "loretta_core.errors",
    "LorettaRepConfig": "loretta_core.adapters.tuners.loretta_rep",
    "LortaConfig": "loretta_core.adapters.tuners.tensor_family.lorta",
    "MetaTTConfig": "loretta_core.adapters.tuners.tensor_family.metatt",
    "TTLinear": "loretta_core.tt.linear",
    "TTLoraConfig": "loretta_core.adapters.tuners.tensor_family.tt_lora",
    "TTShape": "loretta_core.tt.shapes",
    "TensorGuideConfig": "loretta_core.adapters.tuners.tensor_family.tensorguide",
    "ZOSGD": "loretta_core.zo.optim",
    "ZOTrainer": "loretta_core.zo.hf",
    "ZerothOrder": "loretta_core.zo.optim",
    "as_lora": "loretta_core.adapters.as_lora",
    "load_adapter": "loretta_core.adapters.build",
    "tt_parameter_count": "loretta_core.tt.shapes",
    "tt_round": "loretta_core.tt.svd",
    "tt_shape": "loretta_core.tt.shapes",
    "tt_svd": "loretta_core.tt.svd",
    "warm_start": "loretta_core.adapters.warm_start",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'loretta_core' has no attribute {name!r}; its public names: {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_peft()
