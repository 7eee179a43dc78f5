"""A language model small enough to build in memory: random weights, one token per byte, a ChatML template."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tunewise.chat.template import TokenizedExample
from tunewise.models.attention import PACKED_ATTENTION
from tunewise.models.base import BaseModel, LoadedModel

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte level without merges, so that any text is a known number of tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|im_start|>": 0, "<|im_end|>": 1, **{c: i + 2 for i, c in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=CHATML,
    )


def make_model(
    seed: int = 0, *, attention: str = PACKED_ATTENTION, layers: int = 2, context: int = 512
) -> LlamaForCausalLM:
    """Grouped-query attention (4 heads on 2), sharp enough that greedy answers have no near ties."""
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        attn_implementation=attention,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def make_loaded(seed: int = 0, *, context: int = 512) -> LoadedModel:
    base = BaseModel("toy", "toy", Path("toy"))
    return LoadedModel(base, make_model(seed, context=context), make_tokenizer(), torch.device("cpu"))


def make_token_rows(number: int, seed: int = 0) -> list[TokenizedExample]:
    """Rows of random tokens, of which all but the first three are trained."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 30, (number,), generator=generator).tolist()
    return [
        TokenizedExample(torch.randint(2, 258, (n,), generator=generator).tolist(), [i > 2 for i in range(n)])
        for n in lengths
    ]


def save_base(folder: Path, *, context: int = 512) -> Path:
    """The toy model as a folder that `--base` takes."""
    make_model(context=context).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def write_rows(path: Path, number: int = 40) -> Path:
    """A file of examples that the toy model can be trained on."""
    rows = [
        [{"role": "user", "content": f"after {n}?"}, {"role": "assistant", "content": str(n + 1)}]
        for n in range(number)
    ]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    return path
