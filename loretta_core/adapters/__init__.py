"""A frozen backbone becomes trainable: LoRETTA and its baselines as PEFT tuners.

Importing this package registers LORETTA_ADP, LORETTA_REP and BOTTLENECK with PEFT, which a saved adapter of these types needs before
`PeftModel.from_pretrained` can read it; `import loretta_core` sees to it.
"""

from loretta_core.adapters.tuners.bottleneck import BottleneckConfig
from loretta_core.adapters.tuners.loretta_adp import LorettaAdpConfig
from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig

__all__ = ["BottleneckConfig", "LorettaAdpConfig", "LorettaRepConfig"]
