"""BitFit as a PEFT tuner: the bias terms of the backbone train, nothing else (Ben Zaken et al., arXiv 2106.10199), method name `bitfit`.

A bias is a parameter named `bias` or ending in `_bias` (DeBERTa's q_bias and v_bias) of any module of the backbone; the classification head trains in full as
with every method, the output bias of a language-model head does not. Each adapter trains its own fp32 copies, rounded to the base's dtype where they are
used, so that disabling or switching adapters restores the base exactly and merging is a copy.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.constants import DUMMY_TARGET_MODULES
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from loretta_core.adapters.field_checks import checked, names, one_of
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.io.saved_modules import upcast_saved_modules
from loretta_core.adapters.mixed_batches import adapters_of_rows
from loretta_core.adapters.tuners.base_configs import OwnConfig
from loretta_core.adapters.tuners.own_parameters import OwnParametersLayer
from loretta_core.errors import MethodError
from loretta_core.methods.refusals import READ_PAST, STATE_SPACE


@dataclass
class BitfitConfig(OwnConfig):
    """PEFT config of the type BITFIT."""

    target_modules: str = field(
        default=DUMMY_TARGET_MODULES, metadata=checked(one_of(DUMMY_TARGET_MODULES), "Not a choice: every bias of the backbone trains.")
    )
    modules_to_save: list[str] | None = field(default=None, metadata=checked(names, "Modules trained and saved in full, such as a classifier."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("BITFIT")


class Biases(nn.Module):
    """fp32 copies of the biases of one module, under their own names."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        for name, parameter in own_biases(base_layer).items():
            self.register_parameter(name, nn.Parameter(parameter.detach().clone().float()))


class BitfitLayer(OwnParametersLayer):
    """A module of any kind, run with the biases of the active adapters."""

    adapter_layer_names = ("bitfit_block",)

    def forward(self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any) -> Any:
        if adapter_names is None:
            blocks = self.acting_blocks()
            return self._run(blocks, args, kwargs) if blocks else self.base_layer(*args, **kwargs)
        if len(args) == 1 and not kwargs:
            return super().forward(args[0], adapter_names=adapter_names)
        raise MethodError(
            f"bitfit: adapter_names needs modules of one input with a row per text; {type(self.base_layer).__name__} owns biases and takes several. "
            "Run the rows of each adapter as a batch of their own, after `set_adapter`"
        )

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        return self._run(blocks, (x,), {})

    def _run(self, blocks: list[nn.Module], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        frozen = own_biases(self.base_layer)
        trained = {name: value.to(frozen[name].dtype) for name, value in self.summed(blocks).items()}
        return functional_call(self.base_layer, trained, args, kwargs)


class BitfitModel(BaseTuner):
    """The tuner that `get_peft_model` makes for BitfitConfig."""

    prefix = "bitfit_"
    tuner_layer_cls = BitfitLayer

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        config: Any = self.peft_config[adapter_name]
        if (kind := getattr(getattr(model, "config", None), "model_type", "")) in STATE_SPACE:
            raise MethodError(f"bitfit: {type(model).__name__} is {kind}, and {READ_PAST}: they would train without effect; use another method")
        if not _owners(model):
            raise MethodError(f"bitfit: {type(model).__name__} has no bias terms in its backbone; use another method")
        if other := next((layer for layer in model.modules() if isinstance(layer, BaseTunerLayer) and not isinstance(layer, BitfitLayer)), None):
            raise MethodError(f"bitfit: the model has an adapter of another type ({type(other).__name__}); merge or unload that one first")
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        # PEFT has wrapped the trained head by now, whose biases are not ours. Children come before their parents, or their paths would change on the way.
        for path, module in reversed(_owners(model)):
            layer = module if isinstance(module, BitfitLayer) else BitfitLayer(module)
            layer.add_late_block(adapter_name, Biases(layer.get_base_layer()), active=self.active_adapters, frozen=config.inference_mode)
            model.set_submodule(path, layer)

    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        return adapters_of_rows(self, **kwargs)

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: Any,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        raise AssertionError("PEFT matches no names for this method")

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if autocast_adapter_dtype:
            upcast_saved_modules(self.model, adapter=adapter_name)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # PEFT's own also copies `weight` from one to the other, which attention modules do not have.
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        return key.replace(f".bitfit_block.{adapter_name}.", ".bitfit_block.")


def own_biases(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return {name: bias} of the module itself, without those of its children."""
    return {name: parameter for name, parameter in module.named_parameters(recurse=False) if name == "bias" or name.endswith("_bias")}


def _owners(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (path, module) of every module of the backbone that owns a bias or stands in for one that does, parents first; trained heads are left out."""
    inside = next((f"{name}." for name, child in model.named_children() if isinstance(child, PreTrainedModel)), "")
    found: list[tuple[str, nn.Module]] = []
    closed: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if not path.startswith(inside) or path.startswith(closed):
            continue
        if isinstance(module, AuxiliaryTrainingWrapper):
            closed = (*closed, f"{path}.")
        elif isinstance(module, BitfitLayer):
            closed = (*closed, f"{path}.bitfit_block.")
            found.append((path, module))
        elif own_biases(module) and not path.endswith(".base_layer"):
            found.append((path, module))
    return found


register(name="bitfit", config_cls=BitfitConfig, model_cls=BitfitModel)
