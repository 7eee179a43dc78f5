"""A random model writes no JSON by itself; held to a schema, it writes nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from toy import make_loaded, make_model, make_tokenizer
from tunewise.engines.grammar import Grammars
from tunewise.engines.local import LocalEngine
from tunewise.errors import RequestError
from tunewise.records import JSON_OBJECT, ChatRequest, Completion, Grammar, Message

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "city": {"enum": ["Zürich", "東京"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["name", "age", "city", "tags"],
    "additionalProperties": False,
}
STOP_IDS = frozenset({0, 1})


def schema(source: object) -> Grammar:
    return Grammar("json_schema", json.dumps(source))


def ask(grammar: Grammar | None, max_tokens: int = 400, **options: Any) -> ChatRequest:
    return ChatRequest("toy", (Message("user", "Who?"),), max_tokens, grammar=grammar, **options)


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(make_loaded())


def test_every_answer_is_json_of_the_schema(engine: LocalEngine) -> None:
    greedy = ask(schema(PERSON))
    sampled = [replace(greedy, temperature=1.0, seed=seed) for seed in range(6)]
    penalised = replace(greedy, frequency_penalty=2.0, logit_bias={1: 100.0})
    answers = engine.generate([greedy, *sampled, penalised])
    for answer in answers:
        assert answer.finish_reason == "stop"
        jsonschema.validate(json.loads(answer.text), PERSON)
    assert len({answer.text for answer in answers}) > 3


def test_choices_streamed_together_are_the_same_answers(engine: LocalEngine) -> None:
    choices = [ask(schema(PERSON), temperature=1.0, seed=seed, top_logprobs=0) for seed in (5, 6)]
    whole = engine.generate(choices)
    texts, told, completions = ["", ""], [b"", b""], {}
    for delta in engine.stream(*choices):
        texts[delta.index] += delta.text
        told[delta.index] += b"".join(token.bytes for token in delta.logprobs)
        if delta.completion is not None:
            completions[delta.index] = delta.completion
    assert texts == [answer.text for answer in whole]
    assert [spelled.decode() for spelled in told] == texts
    assert [completions[index].text for index in (0, 1)] == texts
    assert texts[0] != texts[1]


def test_an_object_of_any_kind(engine: LocalEngine) -> None:
    for answer in engine.generate([ask(JSON_OBJECT, temperature=1.0, seed=seed) for seed in range(8)]):
        assert answer.text.startswith("{")
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer.text), dict)


def test_an_answer_that_can_only_end_has_ended(engine: LocalEngine) -> None:
    [answer] = engine.generate([ask(schema({"const": "é€"}))])
    assert (answer.text, answer.finish_reason) == ('"é€"', "stop")
    assert answer.output_tokens == len('"é€"'.encode())


def test_an_answer_that_is_cut_says_so(engine: LocalEngine) -> None:
    [whole] = engine.generate([ask(schema(PERSON))])
    [cut] = engine.generate([ask(schema(PERSON), 9)])
    assert (cut.finish_reason, cut.output_tokens) == ("length", 9)
    assert whole.text.startswith(cut.text)


def test_a_stop_string_ends_it_too(engine: LocalEngine) -> None:
    [answer] = engine.generate([ask(schema(PERSON), stop=('"age"',))])
    assert answer.finish_reason == "stop"
    assert answer.text.rstrip().endswith(",")


def test_a_bias_decides_among_what_is_allowed(engine: LocalEngine) -> None:
    letter = {text: make_tokenizer()(text)["input_ids"][0] for text in "abz"}
    either = schema({"enum": ["a", "b"]})
    biases = [{letter["z"]: 100.0, letter[wanted]: 50.0} for wanted in "ab"]
    answers = engine.generate([ask(either, logit_bias=bias) for bias in biases])
    assert [answer.text for answer in answers] == ['"a"', '"b"']


def test_probabilities_are_those_of_the_model_without_its_grammar(engine: LocalEngine) -> None:
    request = ask(schema({"const": "no"}), top_logprobs=1)
    [answer] = engine.generate([request])
    tokenizer, model = make_tokenizer(), make_model(attention="eager")
    prompt = engine._template("toy").encode_prompt(request.messages)
    written = tokenizer('"no"')["input_ids"]
    expected = model(input_ids=torch.tensor([prompt + written])).logits[0].log_softmax(-1)
    for place, (token, measured) in enumerate(zip(written, answer.logprobs, strict=True), len(prompt) - 1):
        assert measured.logprob == pytest.approx(expected[place, token].item(), abs=2e-4)
        assert measured.top[0].logprob == pytest.approx(expected[place].max().item(), abs=2e-4)


def test_who_has_no_grammar_is_not_touched_by_one_who_has(engine: LocalEngine) -> None:
    [alone] = engine.generate([ask(None, 20)])
    held, beside = engine.generate([ask(schema(PERSON)), ask(None, 20)])
    assert beside.text == alone.text
    json.loads(held.text)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"type": "objct"}, "objct"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "#/$defs/nothing"}, "/$defs/nothing"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    engine: LocalEngine, source: object, reason: str
) -> None:
    for refuse in (engine.check, engine.stream):
        with pytest.raises(RequestError, match=r"no answer can be held to this schema: .+") as caught:
            refuse(ask(schema(source)))
        assert caught.value.param == "response_format"
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_grammar_that_proves_too_hard_fails_its_own_request_only(engine: LocalEngine) -> None:
    names = [f"rule_{index}" for index in range(2500)]
    rules = "\n".join(f'{name}: "a" {name} | "b"' for name in names)
    hard = Grammar("lark", f"start: {' | '.join(names)}\n{rules}")
    failed, other = engine.generate([ask(hard), ask(schema(PERSON))])
    assert (failed.finish_reason, failed.text) == ("error", "")
    assert "2000" in (failed.error or "")
    json.loads(other.text)


# --- Tokens that are no single bytes, and logits of another width ----------------------------------------


def make_merging_tokenizer() -> PreTrainedTokenizerFast:
    """Its tokens straddle the borders between keys, values and the marks of JSON."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<|im_start|>", "<|im_end|>", *alphabet, '{"', '":', '":"', '",', '","', '"}', "na", "name"]
    pieces += ["me", 'name"', 'name":"', "ab", 'ab"', 'ab"}', "Ã©"]
    merges = [
        ("{", '"'), ('"', ":"), ('":', '"'), ('"', ","), ('",', '"'), ('"', "}"), ("n", "a"), ("m", "e"),
        ("na", "me"), ("name", '"'), ("name", '":"'), ("a", "b"), ("ab", '"'), ("ab", '"}'), ("Ã", "©"),
    ]  # fmt: skip
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, merges))
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>"
    )


def write_at_random(grammars: Grammars, grammar: Grammar, width: int, seed: int) -> list[int]:
    """The tokens of a model that knows nothing: each as likely as any other."""
    generator = torch.Generator().manual_seed(seed)
    matcher = grammars.matcher(ask(grammar), STOP_IDS)
    assert matcher is not None
    tokens: list[int] = []
    while not matcher.is_over:
        token = int(matcher.mask(torch.rand(width, generator=generator)).argmax())
        assert matcher.consume(token) is None
        if token in STOP_IDS:
            break
        tokens.append(token)
    return tokens


def test_tokens_may_cross_the_borders_of_keys_and_values() -> None:
    tokenizer = make_merging_tokenizer()
    grammars = Grammars(tokenizer, len(tokenizer))
    properties = {"name": {"enum": ["ab", "é"]}, "me": {"type": "string", "maxLength": 3}}
    source = {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}
    crossing = 0
    for seed in range(40):
        tokens = write_at_random(grammars, schema(source), len(tokenizer), seed)
        jsonschema.validate(json.loads(tokenizer.decode(tokens)), source)
        crossing += sum(
            piece in ('":"', 'ab"}', 'name"') for piece in tokenizer.convert_ids_to_tokens(tokens)
        )
    assert crossing > 10


@pytest.mark.parametrize("width", [250, 320])
def test_logits_may_be_narrower_or_wider_than_the_vocabulary(width: int) -> None:
    grammars = Grammars(make_tokenizer(), width)
    matcher = grammars.matcher(ask(schema({"type": "string"})), STOP_IDS)
    assert matcher is not None
    assert matcher.mask(torch.zeros(width)).isfinite().sum() == 1
    matcher.consume(make_tokenizer()('"')["input_ids"][0])
    assert not matcher.mask(torch.zeros(width))[258:].isfinite().any()


def test_every_end_of_turn_may_follow_a_whole_answer_and_no_other() -> None:
    matcher = Grammars(make_tokenizer(), 258).matcher(ask(schema({"type": "integer"})), STOP_IDS)
    assert matcher is not None
    assert not matcher.mask(torch.zeros(258))[:2].isfinite().any()
    matcher.consume(make_tokenizer()("7")["input_ids"][0])
    assert matcher.mask(torch.zeros(258))[:2].isfinite().all()


def test_a_tokenizer_that_cannot_be_read_is_said_to_be() -> None:
    odd = make_tokenizer()
    odd.backend_tokenizer.decoder = decoders.Strip()
    with pytest.raises(RequestError, match="tokenizer cannot be held to a grammar"):
        Grammars(odd, 258).matcher(ask(JSON_OBJECT), STOP_IDS)


# --- Any schema --------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=4)
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.tuples(st.integers(-99, 99), st.integers(0, 50)).map(
        lambda bounds: {"type": "integer", "minimum": bounds[0], "maximum": sum(bounds)}
    ),
    st.integers(0, 5).map(lambda longest: {"type": "string", "maxLength": longest}),
    st.lists(NAMES | st.integers(-5, 5), min_size=1, max_size=3, unique=True).map(lambda v: {"enum": v}),
    (NAMES | st.none()).map(lambda value: {"const": value}),
)


def _object_of(properties: dict[str, Any], num_required: int) -> dict[str, Any]:
    required = list(properties)[:num_required]
    return {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False
    }  # fmt: skip


SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(_object_of, st.dictionaries(NAMES, inner, max_size=3), st.integers(0, 3)),
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least, "maxItems": least + 1},
            inner,
            st.integers(0, 2),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=4,
)


@settings(max_examples=40)
@given(SCHEMAS, st.integers(0, 999))
def test_whatever_the_schema_a_random_model_follows_it(
    engine: LocalEngine, source: dict[str, Any], seed: int
) -> None:
    requests = [ask(schema(source), 450, temperature=1.0, seed=seed + choice) for choice in range(2)]
    answers: list[Completion] = engine.generate(requests)
    for answer in answers:
        assert answer.error is None
        assert answer.finish_reason == "stop"
        jsonschema.validate(json.loads(answer.text), source)
