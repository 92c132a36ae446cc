"""The table of all fine-tuning methods, by the name that a sweep file gives them. A new method is one line here."""

from __future__ import annotations

from loretta_core.methods.base import Method
from loretta_core.methods.descriptors import adapters, bitfit, ft, ia3, lora, loretta_adp, loretta_rep, peft, prefix, prompt, ptune
from loretta_core.methods.descriptors.tensor_family import lorta, metatt, tensorguide, tt_lora

METHODS: dict[str, type[Method]] = {
    "loretta_adp": loretta_adp.LorettaAdp,
    "loretta_rep": loretta_rep.LorettaRep,
    "tt_lora": tt_lora.TTLora,
    "metatt": metatt.MetaTT,
    "lorta": lorta.Lorta,
    "tensorguide": tensorguide.TensorGuide,
    "adapters": adapters.Adapters,
    "lora": lora.Lora,
    "ia3": ia3.Ia3,
    "prompt": prompt.Prompt,
    "prefix": prefix.Prefix,
    "ptune": ptune.Ptune,
    "bitfit": bitfit.Bitfit,
    "peft": peft.Peft,
    "ft": ft.Ft,
}
