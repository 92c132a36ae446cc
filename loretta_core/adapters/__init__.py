"""Adapters: a frozen backbone becomes trainable, with LoRETTA and its baselines as PEFT tuners.

Importing this package registers the types of our own tuners (LORETTA_ADP, TT_LORA, METATT, BITFIT, …) with PEFT, which a saved adapter of these types needs
before `PeftModel.from_pretrained` can read it; `import loretta_core` sees to it.
"""

from importlib import import_module

from loretta_core.adapters.tuners.bottleneck import BottleneckConfig
from loretta_core.adapters.tuners.loretta_adp import LorettaAdpConfig
from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig
from loretta_core.methods import METHODS

for _method in METHODS.values():
    if _method.peft_name is not None and _method.peft_config is not None and not _method.peft_config.startswith("peft:"):
        import_module(_method.peft_config.partition(":")[0])  # it registers its type at its end

__all__ = ["BottleneckConfig", "LorettaAdpConfig", "LorettaRepConfig"]
