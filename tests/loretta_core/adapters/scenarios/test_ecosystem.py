"""Our adapters outside our own training loop: HF Trainer and pipelines, torch.compile, data parallelism, half precision, checkpointing."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
import torch.multiprocessing as mp
from peft import PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments, pipeline

from loretta_core import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig

CONFIGS = {
    "LORETTA_ADP": lambda: LorettaAdpConfig(task_type="SEQ_CLS", tensor_rank=2, bottleneck_size=8),
    "LORETTA_REP": lambda: LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4),
    "REP_SUBTRACT": lambda: LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4, init_weights="subtract"),
    "BOTTLENECK": lambda: BottleneckConfig(task_type="SEQ_CLS", bottleneck_size=8),
}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    return CONFIGS[request.param]


def adapter_state(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}


class Rows(torch.utils.data.Dataset):
    def __init__(self, token_ids):
        self.token_ids = token_ids

    def __len__(self):
        return len(self.token_ids)

    def __getitem__(self, index):
        return {"input_ids": self.token_ids[index], "labels": index % 2}


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_trainer_trains_saves_and_resumes(tiny, token_ids, make_config, tmp_path):
    model = get_peft_model(tiny("bert"), make_config())
    before = adapter_state(model)
    settings = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "report_to": [], "use_cpu": True}
    settings |= {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}, "disable_tqdm": True}
    arguments = TrainingArguments(output_dir=str(tmp_path), **settings)
    Trainer(model=model, args=arguments, train_dataset=Rows(token_ids.repeat(4, 1))).train()
    after = adapter_state(model)
    assert all(not torch.equal(before[name], value) for name, value in after.items())
    loaded = PeftModel.from_pretrained(tiny("bert"), str(tmp_path / "checkpoint-4")).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, model.eval()(input_ids=token_ids).logits)

    again = get_peft_model(tiny("bert"), make_config())
    Trainer(model=again, args=arguments, train_dataset=Rows(token_ids.repeat(4, 1))).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, value in adapter_state(again).items():
        torch.testing.assert_close(value, after[name], rtol=0, atol=1e-6)


@pytest.mark.integration
def test_pipeline(tiny, make_config):
    words = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, **{f"w{index}": index for index in range(2, 40)}}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    model = get_peft_model(tiny("bert"), make_config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    (answer,) = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")(["w3 w9 w27"])
    expected = model(input_ids=torch.tensor([[3, 9, 27]])).logits.softmax(-1).max().item()
    assert answer["score"] == pytest.approx(expected, abs=1e-5)


COMPILED = """
import sys
from copy import deepcopy
import torch
from peft import get_peft_model
from transformers import BertConfig, BertForSequenceClassification
from loretta_core import LorettaAdpConfig, LorettaRepConfig, TTLinear

layer = TTLinear(96, 64, rank=3)
compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
x = torch.randn(5, 96)
torch.testing.assert_close(compiled(x), layer(x))
with torch.no_grad():
    torch.testing.assert_close(compiled.eval()(x), layer.eval()(x))

sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
base = BertForSequenceClassification(BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
token_ids = torch.randint(0, 40, (3, 6))
for config in (LorettaAdpConfig(task_type="SEQ_CLS", bottleneck_size=8), LorettaRepConfig(task_type="SEQ_CLS", init_weights="subtract")):
    model = get_peft_model(deepcopy(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    twin = torch.compile(deepcopy(model), backend="aot_eager")
    gradients = []
    for candidate in (model, twin):
        candidate(input_ids=token_ids).logits.square().sum().backward()
        gradients.append([parameter.grad for parameter in candidate.parameters() if parameter.requires_grad])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(twin.eval()(input_ids=token_ids).logits, model.eval()(input_ids=token_ids).logits, rtol=0, atol=1e-5)
"""


@pytest.mark.slow
def test_compiled_layers_and_models_give_the_same_results():
    # In a process of its own: the run-time type checks of this test suite cannot be traced.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_bases_keep_fp32_cores(tiny, token_ids, make_config, dtype):
    base = tiny("llama").to(dtype)
    model = get_peft_model(deepcopy(base), make_config())
    assert torch.equal(model(input_ids=token_ids).logits.to(dtype), base(input_ids=token_ids).logits)
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-2)
    before = adapter_state(model)
    assert {value.dtype for value in before.values()} == {torch.float32}
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(input_ids=token_ids).logits.float(), torch.tensor([0, 1, 0])).backward()
        optimizer.step()
    assert all(not torch.equal(before[name], value) and value.isfinite().all() for name, value in adapter_state(model).items())


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_in_the_usual_ways(tiny, token_ids, make_config, reentrant):
    model = get_peft_model(tiny("llama"), make_config())
    model.enable_input_require_grads()
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": reentrant})
    model.train()(input_ids=token_ids).logits.square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]


def _rank(rank, port, config, token_ids, gradients):
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        model = _seeded_model(config)
        parallel = DistributedDataParallel(model)
        parallel(input_ids=token_ids[rank::2]).logits.square().sum().backward()
        gradients.put((rank, [parameter.grad.numpy() for parameter in model.parameters() if parameter.requires_grad]))
    finally:
        distributed.destroy_process_group()


def _seeded_model(config):
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    base = BertForSequenceClassification(BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    model = get_peft_model(base, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.slow
def test_two_ranks_average_their_gradients(token_ids, free_port):
    name = "LORETTA_ADP"
    token_ids = token_ids.repeat(2, 1)[:4]
    context = mp.get_context("spawn")
    gradients = context.Queue()
    processes = [context.Process(target=_rank, args=(rank, free_port, CONFIGS[name](), token_ids, gradients)) for rank in range(2)]
    for process in processes:
        process.start()
    by_rank = dict(gradients.get(timeout=300) for _ in processes)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    whole = _seeded_model(CONFIGS[name]())
    whole(input_ids=token_ids).logits.square().sum().backward()
    expected = [parameter.grad / 2 for parameter in whole.parameters() if parameter.requires_grad]
    for found in by_rank.values():
        for left, right in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(left), right, rtol=1e-4, atol=1e-5)
