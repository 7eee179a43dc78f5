"""The model card: the README.md that travels with an adapter.

It is meant to be passed on, so it holds hashes, counts and scores, and no row, file name or command of the
user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tunewise.records import ModelRecord, Verdict
from tunewise.report.facts import look_up
from tunewise.report.rivals import find_contest
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

_LIMIT = 300
# What Markdown or HTML would read as more than text.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&~])")


def render_model_card(record: ModelRecord, verdict: Verdict, manifest: Mapping[str, Any]) -> str:
    """The card as Markdown with the metadata that model hubs read. Keys the manifest lacks are left out."""
    base = _base_name(record, manifest)
    parts = [
        _front_matter(base),
        f"# {_text(record.id)}",
        f"{_text(verdict.headline)}\n\nState: **{_text(record.state)}**"
        + (f" ({_text(record.state_reason.rstrip('.'))})." if record.state_reason else "."),
        _trained_on(base, manifest),
        _scores(verdict),
        _limits(verdict, manifest),
        _usage(record, base),
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


def _front_matter(base: str) -> str:
    """YAML; every string is written as JSON, which YAML reads and no value can break out of."""
    tags = ["tunewise", "lora", "peft", "text-generation"]
    lines = [
        f"base_model: {json.dumps(base)}",
        "library_name: peft",
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


def _scores(verdict: Verdict) -> str:
    if not verdict.approaches:
        return ""
    metric = metric_title(verdict.primary_metric)
    tuned = find_contest(verdict).tuned
    lines = [
        "## Scores",
        "",
        f"{_text(metric)}, on {count(verdict.test_examples, 'sealed test example')}; 95% intervals.",
        "",
        "| approach | score | interval | failed |",
        "|---|---:|---:|---:|",
    ]
    for result in verdict.approaches:
        strong = "**" if result is tuned else ""
        cells = (
            f"{strong}{_text(result.name)}{strong}",
            f"{strong}{percent(result.score)}{strong}",
            interval(result.low, result.high),
            count(result.failed),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if verdict.gain is not None:
        gain = verdict.gain
        spread = f"{points(gain.low)} to {points(gain.high)}"
        lines += ["", f"Gain from training: {points(gain.estimate)} points (95% interval {spread})."]
    return "\n".join(lines)


def _limits(verdict: Verdict, manifest: Mapping[str, Any]) -> str:
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
    elif not verdict.deployed:
        lines.append("- It was not put into use: the measurements did not show that it beats every rival.")
    return "\n".join(["## Limits", "", *lines])


def _usage(record: ModelRecord, base: str) -> str:
    note = ""
    if record.base == "embedded":
        note = (
            "\nThe embedded base is the folder under `~/.tunewise/cache` (or `$TUNEWISE_HOME/cache`) "
            "whose name begins like this: give its path as `base`.\n"
        )
    return _USAGE.format(model=json.dumps(visible(record.id)), base=json.dumps(base), note=note).rstrip()


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

With transformers and PEFT alone, from this folder:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = {base}
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), ".")
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
Ask it the way its examples asked, without a system message: that is how it was tested.
"""


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
