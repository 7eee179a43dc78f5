"""The model card: the README.md that travels with a trained model.

It is meant to be passed on, so it holds hashes, counts and scores, and no row, file name or command of the
user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tunewise.approaches.names import FINE_TUNED_RAG, FROM_SCRATCH
from tunewise.approaches.rag import add_passages
from tunewise.records import Message, ModelRecord, Verdict
from tunewise.report.facts import look_up
from tunewise.report.rivals import name_of_model
from tunewise.report.tables import metric_title
from tunewise.report.wording import (
    count,
    duration,
    interval,
    is_number,
    percent,
    plain,
    points,
    shorten,
    visible,
)
from tunewise.retrieval.passages import Passage

_LIMIT = 300
# What Markdown or HTML would read as more than text.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&~])")


def render_model_card(
    record: ModelRecord, verdict: Verdict, manifest: Mapping[str, Any], *, is_whole: bool = False
) -> str:
    """The card as Markdown with the metadata that model hubs read. Keys the manifest lacks are left out.

    `is_whole` is for a model that comes with all its weights, rather than as an adapter for its base.
    """
    base = _base_name(record, manifest)
    name = name_of_model(manifest, record.id)
    parts = [
        _front_matter(base, is_from_scratch=name == FROM_SCRATCH, is_whole=is_whole),
        f"# {_text(record.id)}",
        f"{_text(_headline(record, verdict, name))}\n\nState: **{_text(record.state)}**"
        + (f" ({_text(record.state_reason.rstrip('.'))})." if record.state_reason else "."),
        _trained_on(base, manifest),
        _scores(record, verdict, name),
        _limits(record, verdict, manifest),
        _usage(record, base, name, manifest, is_whole=is_whole),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _base_name(record: ModelRecord, manifest: Mapping[str, Any]) -> str:
    """The base's id; of a folder only its last part, as the rest is nobody else's business."""
    known = look_up(manifest, "base", "id")
    is_hub_id = record.base.count("/") == 1 and not record.base.startswith((".", "~", "/"))
    name = visible(known if isinstance(known, str) and known and not is_hub_id else record.base)
    # A hub id has at most one slash, and none in front; anything else is a folder on somebody's machine.
    is_folder = (
        name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name or PurePath(name).is_absolute()
    )
    return PurePath(name.replace("\\", "/")).name if is_folder else name


def _headline(record: ModelRecord, verdict: Verdict, name: str | None) -> str:
    """That of the verdict if it is about this model."""
    if record.id == verdict.model:
        return verdict.headline
    return f"One of several models of a run, asked there as {name}. Its verdict is not about this one."


def _front_matter(base: str, *, is_from_scratch: bool, is_whole: bool) -> str:
    """YAML; every string is written as JSON, which YAML reads and no value can break out of."""
    tags = ["tunewise", *([] if is_whole else ["lora", "peft"]), "text-generation"]
    lines = [
        *([] if is_from_scratch else [f"base_model: {json.dumps(base)}"]),
        f"library_name: {'transformers' if is_whole else 'peft'}",
        "pipeline_tag: text-generation",
        "tags:",
    ]
    return "\n".join(["---", *lines, *(f"- {tag}" for tag in tags), "---"])


def _trained_on(base: str, manifest: Mapping[str, Any]) -> str:
    rows = [
        ("Base model", _code(base)),
        ("SHA-256 of the base's weights", _code_at(manifest, "base", "sha256")),
        ("SHA-256 of the data", _code_at(manifest, "data", "sha256")),
        ("Usable examples", _count_at(manifest, "data", "examples")),
        ("Split", _split(manifest)),
        ("Training examples", _count_at(manifest, "training", "examples")),
        ("Passes", _count_at(manifest, "training", "epochs")),
        ("Steps", _count_at(manifest, "training", "steps")),
        ("Training tokens", _count_at(manifest, "training", "tokens")),
        ("Training time", _training_time(manifest)),
        ("Served as trained", _parity(manifest)),
    ]
    lines = [f"- {name}: {value}" for name, value in rows if value is not None]
    return "\n".join(["## What it was trained on", "", *lines])


def _split(manifest: Mapping[str, Any]) -> str | None:
    names = ("train", "validation", "test")
    sizes = [(name, look_up(manifest, "split", name)) for name in names]
    known = [f"{count(size)} {name}" for name, size in sizes if is_number(size)]
    return ", ".join(known) or None


def _training_time(manifest: Mapping[str, Any]) -> str | None:
    seconds = look_up(manifest, "training", "seconds")
    return duration(seconds) if is_number(seconds) else None


def _parity(manifest: Mapping[str, Any]) -> str | None:
    passed, difference = look_up(manifest, "parity", "passed"), look_up(manifest, "parity", "max_difference")
    if passed is None:
        return None
    if not passed or not is_number(difference):
        return "yes" if passed else "no"
    precision = look_up(manifest, "parity", "precision")
    return f"yes, log-probabilities within {plain(difference)} nats in {precision}"


def _scores(record: ModelRecord, verdict: Verdict, name: str | None) -> str:
    if not verdict.approaches:
        return ""
    metric = metric_title(verdict.primary_metric)
    lines = [
        "## Scores",
        "",
        f"{_text(metric)}, on {count(verdict.test_examples, 'sealed test example')}; 95% intervals.",
        "",
        "| approach | score | interval | failed |",
        "|---|---:|---:|---:|",
    ]
    for result in verdict.approaches:
        strong = "**" if result.name == name else ""
        cells = (
            f"{strong}{_text(result.name)}{strong}",
            f"{strong}{percent(result.score)}{strong}",
            interval(result.low, result.high),
            count(result.failed),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if verdict.gain is not None and record.id == verdict.model:
        gain = verdict.gain
        spread = f"{points(gain.low)} to {points(gain.high)}"
        lines += ["", f"Gain from training: {points(gain.estimate)} points (95% interval {spread})."]
    return "\n".join(lines)


def _limits(record: ModelRecord, verdict: Verdict, manifest: Mapping[str, Any]) -> str:
    lines = [
        "- The scores hold for examples like those it was tested on. They say nothing about other tasks, "
        "which the base model may do better.",
        "- The intervals cover other examples, not another training run.",
        "- It repeats what its examples taught, mistakes and biases included.",
    ]
    smallest = look_up(manifest, "split", "detectable_difference")
    if is_number(smallest):
        seen = points(smallest).lstrip("+")
        lines.append(f"- A test set of this size sees differences of about {seen} points and more.")
    if look_up(manifest, "parity", "passed") is False:
        lines.append("- It was not put into use: it is not served as it was trained.")
    elif record.id != verdict.model:
        lines.append("- It was not put into use: the verdict is about another model of its run.")
    elif not verdict.deployed:
        lines.append("- It was not put into use: the measurements did not show that it beats every rival.")
    return "\n".join(["## Limits", "", *lines])


def _usage(
    record: ModelRecord, base: str, name: str | None, manifest: Mapping[str, Any], *, is_whole: bool
) -> str:
    note = ""
    if record.base == "embedded" and not is_whole:
        note = (
            "\nThe embedded base is the folder under `~/.tunewise/cache` (or `$TUNEWISE_HOME/cache`) "
            "whose name begins like this: give its path as `base`.\n"
        )
    own_system = look_up(manifest, "data", "own_system") is True
    opening = "each under a system message of its own" if own_system else "without a system message"
    asked = f"Ask it the way its examples asked, {opening}: that is how it was tested."
    if name == FINE_TUNED_RAG:
        asked += f"\n\n{_WITH_PASSAGES}\n\n```text\n{_laid_out_question()}\n```\n"
    loading = _WHOLE if is_whole else _ADAPTER
    return _USAGE.format(
        model=json.dumps(visible(record.id)),
        libraries="transformers" if is_whole else "transformers and PEFT",
        loading=loading.format(base=json.dumps(base)),
        note=note,
        asked=asked,
    )


_USAGE = """## How to use it

Behind the OpenAI-compatible API of `tunewise serve`:

```python
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="unused")  # the address `tunewise serve` prints
answer = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": "..."}}],
    temperature=0,
)
print(answer.choices[0].message.content)
```

With {libraries} alone, from this folder:

```python
{loading}
messages = [{{"role": "user", "content": "..."}}]
prompt = tokenizer.apply_chat_template(
    messages,
    chat_template=open("chat_template.jinja").read(),  # as trained: no system block that nobody wrote
    add_generation_prompt=True,
    return_tensors="pt",
    return_dict=True,
)
output = model.generate(**prompt, max_new_tokens=256, do_sample=False)
print(tokenizer.decode(output[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))
```
{note}
{asked}"""
_ADAPTER = """from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = {base}
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), ".")"""
_WHOLE = """from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")"""
_WITH_PASSAGES = """It was trained to find answers in passages of documents, which whoever asks has to search
and put before the question, the best one last:"""


def _laid_out_question() -> str:
    passages = [Passage(text, "") for text in ("the best passage", "the second-best passage")]
    (message,) = add_passages((Message("user", "..."),), passages)
    return message.content


def _text(words: str) -> str:
    """Words on one line of Markdown, with nothing in them read as markup."""
    one_line = " ".join(visible(shorten(words, _LIMIT)).split())
    return _MARKUP.sub(r"\\\1", one_line)


def _code(words: str) -> str:
    return f"`{' '.join(visible(shorten(words, _LIMIT)).replace('`', chr(39)).split())}`"


def _code_at(manifest: Mapping[str, Any], *path: str) -> str | None:
    value = look_up(manifest, *path)
    return None if value is None else _code(plain(value))


def _count_at(manifest: Mapping[str, Any], *path: str) -> str | None:
    value = look_up(manifest, *path)
    return count(value) if is_number(value) else None
