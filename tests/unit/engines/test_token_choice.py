"""How tokens are chosen and measured, against a plain forward pass of the same model."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from toy import make_loaded, make_model, make_tokenizer
from tunewise.engines.base import Delta
from tunewise.engines.local import LocalEngine
from tunewise.engines.logprobs import TokenSpelling
from tunewise.errors import OverloadedError, RequestError
from tunewise.records import ChatRequest, Completion, Message

EURO = "€".encode()


def ask(text: str, max_tokens: int = 12, **options: object) -> ChatRequest:
    return ChatRequest("toy", (Message("user", text),), max_tokens, **options)  # type: ignore[arg-type]


def ids_of(text: str) -> list[int]:
    return list(make_tokenizer()(text, add_special_tokens=False)["input_ids"])


@pytest.fixture
def engine() -> LocalEngine:
    return LocalEngine(make_loaded())


def plain_steps(engine: LocalEngine, request: ChatRequest) -> list[tuple[int, torch.Tensor]]:
    """The chosen token and the raw logits of each step, every prefix computed from its beginning."""
    model = make_model(attention="eager")
    ids = engine._template("toy").encode_prompt(request.messages)
    generated: list[int] = []
    steps = []
    for _ in range(request.max_tokens):
        raw = model(input_ids=torch.tensor([ids + generated])).logits[0, -1]
        logits = raw.clone()
        for token, bias in request.logit_bias.items():
            logits[token] += bias
        for token, count in Counter(generated).items():
            logits[token] -= count * request.frequency_penalty + request.presence_penalty
        steps.append((int(logits.argmax()), raw))
        if steps[-1][0] == 1:
            break
        generated.append(steps[-1][0])
    return steps


def answer_of(steps: list[tuple[int, torch.Tensor]]) -> str:
    return str(make_tokenizer().decode([token for token, _ in steps], skip_special_tokens=True))


@pytest.mark.parametrize(
    "options",
    [
        {"presence_penalty": 2.0},
        {"frequency_penalty": 2.0},
        {"frequency_penalty": -1.5, "presence_penalty": 0.7},
        {"logit_bias": {40: 8.0, 1: -100.0}},
        {"logit_bias": {ids_of("q")[0]: 100.0}, "frequency_penalty": 2.0},
    ],
    ids=str,
)
def test_penalties_and_biases_are_those_of_openais_formula(
    engine: LocalEngine, options: dict[str, object]
) -> None:
    plain = [ask(text, 24) for text in ("a", "hello there")]
    adjusted = [ask(text, 24, **options) for text in ("a", "hello there")]
    answers = [completion.text for completion in engine.generate(plain + adjusted)]
    assert answers == [answer_of(plain_steps(engine, request)) for request in plain + adjusted]
    assert answers[:2] != answers[2:]


def test_a_ban_strikes_the_likeliest_token_and_one_of_other_tokens_changes_nothing(
    engine: LocalEngine,
) -> None:
    likeliest = [token for token, _ in plain_steps(engine, ask("hello there"))]
    never = next(token for token in range(2, 258) if token not in likeliest)
    struck = ask("hello there", logit_bias={likeliest[2]: -100.0})
    spared = ask("hello there", logit_bias={never: -100.0})
    answers = [completion.text for completion in engine.generate([struck, spared])]
    assert answers == [answer_of(plain_steps(engine, request)) for request in (struck, ask("hello there"))]
    assert answers[0] != answers[1]


def test_a_bias_decides_what_is_sampled(engine: LocalEngine) -> None:
    only_q = ask("a", 5, temperature=1.0, seed=1, logit_bias={ids_of("q")[0]: 100.0})
    assert engine.generate([only_q])[0].text == "qqqqq"


@pytest.mark.parametrize("token", [-1, 258])
def test_a_bias_on_no_token_is_refused(engine: LocalEngine, token: int) -> None:
    with pytest.raises(RequestError, match="no token") as caught:
        engine.stream(ask("a", logit_bias={token: 1.0}))
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize("options", [{}, {"presence_penalty": 2.0}, {"temperature": 1.5, "seed": 3}], ids=str)
def test_logprobs_are_the_models_own_whatever_changes_the_choice(
    engine: LocalEngine, options: dict[str, object]
) -> None:
    request = ask("hello there", 10, top_logprobs=4, **options)
    spelling = TokenSpelling(make_tokenizer())
    [completion] = engine.generate([request])
    assert len(completion.logprobs) >= 5
    ids = engine._template("toy").encode_prompt(request.messages)
    token_of = {spelling.bytes_of(token): token for token in range(258)}
    model = make_model(attention="eager")
    for measured in completion.logprobs:
        expected = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        ids.append(token_of[measured.bytes])
        assert measured.logprob == pytest.approx(expected[ids[-1]].item(), abs=2e-4)
        likeliest = expected.topk(4)
        assert [token_of[top.bytes] for top in measured.top] == likeliest.indices.tolist()
        assert [top.logprob for top in measured.top] == pytest.approx(likeliest.values.tolist(), abs=2e-4)


def test_who_does_not_ask_for_logprobs_gets_none_beside_one_who_does(engine: LocalEngine) -> None:
    without, bare = engine.generate([ask("z" * 9, 3), ask("z" * 9, 3, top_logprobs=0)])
    assert without.logprobs == ()
    assert {measured.top for measured in bare.logprobs} == {()}
    assert without.text == bare.text


def spell_out(engine: LocalEngine, text: bytes, **options: object) -> list[Delta]:
    """Stream an answer that is made to be `text`: at each step, every other byte is out of the question."""
    spelling = TokenSpelling(make_tokenizer())
    token_of = {spelling.bytes_of(token): token for token in range(258)}
    wanted = iter([token_of[bytes([byte])] for byte in text])
    original = engine._compute

    def compute(chunks: object) -> torch.Tensor:
        logits = original(chunks)  # type: ignore[arg-type]
        for row in logits:
            row[next(wanted)] = 1000.0
        return logits

    engine._compute = compute  # type: ignore[method-assign, assignment]
    return list(engine.stream(ask("a", len(text), top_logprobs=0, **options)))


def test_a_character_in_pieces_is_streamed_whole_with_the_exact_bytes_of_each(engine: LocalEngine) -> None:
    *pieces, last = spell_out(engine, b"5" + EURO + b"!")
    assert [piece.text for piece in pieces] == ["5", "€", "!"]
    told = [[measured.bytes for measured in piece.logprobs] for piece in pieces]
    assert told == [[b"5"], [b"\xe2", b"\x82", b"\xac"], [b"!"]]
    assert [measured.text for measured in pieces[1].logprobs] == ["\\xe2", "\\x82", "\\xac"]
    assert last.completion is not None
    assert b"".join(measured.bytes for measured in last.completion.logprobs) == b"5" + EURO + b"!"


def test_the_logprobs_end_where_a_stop_string_cuts_the_answer(engine: LocalEngine) -> None:
    *pieces, last = spell_out(engine, b"ok ST so STOP", stop=("STOP",))
    assert last.completion is not None
    assert last.completion.text == "ok ST so "
    told = [measured for piece in pieces for measured in piece.logprobs]
    assert tuple(told) == last.completion.logprobs
    assert b"".join(measured.bytes for measured in told) == b"ok ST so "


def test_bytes_of_special_added_unused_and_sentencepiece_tokens() -> None:
    byte_level = make_tokenizer()
    byte_level.add_tokens([AddedToken("\u0120£ \u2581", normalized=False)])
    spelling = TokenSpelling(byte_level)
    assert [spelling.bytes_of(token) for token in (1, 258, 999)] == [
        b"<|im_end|>",
        "\u0120£ \u2581".encode(),
        b"",
    ]
    assert sorted(spelling.bytes_of(token) for token in range(2, 258)) == [bytes([i]) for i in range(256)]
    vocabulary = {"<unk>": 0, "\u2581the": 1, "<0xE2>": 2}
    pieces = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    pieces.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    spelling = TokenSpelling(PreTrainedTokenizerFast(tokenizer_object=pieces))
    assert [spelling.bytes_of(token) for token in (1, 2)] == [b" the", b"\xe2"]


def gather(deltas: list[Delta]) -> dict[int, Completion]:
    return {delta.index: delta.completion for delta in deltas if delta.completion is not None}


@pytest.mark.parametrize("whole", [False, True])
def test_choices_together_are_the_separate_requests_with_their_seeds(
    engine: LocalEngine, whole: bool
) -> None:
    choices = [ask("dice " * 10, 20, temperature=1.0, seed=seed) for seed in range(5, 9)]
    separate = [LocalEngine(make_loaded()).generate([choice])[0].text for choice in choices]
    deltas = list(engine.stream(*choices, whole=whole))
    together = gather(deltas)
    assert [together[index].text for index in range(4)] == separate
    assert len(set(separate)) > 1
    if not whole:
        texts = ["".join(d.text for d in deltas if d.index == index) for index in range(4)]
        assert texts == separate


def test_choices_compute_their_prompt_once(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    original = engine._compute
    monkeypatch.setattr(
        engine, "_compute", lambda c: (computed.extend(k.end - k.start for _, k in c), original(c))[1]
    )
    choices = [ask("word " * 30, 2, temperature=1.0, seed=seed) for seed in range(3)]
    list(engine.stream(*choices))
    num_prompt = engine.count_tokens("toy", choices[0].messages)
    # The prompt once, and a token each for its last position and the second of the two it asks for.
    assert sum(computed) <= num_prompt + 2 + 3


def test_more_than_may_wait_are_refused_until_there_is_room_again() -> None:
    engine = LocalEngine(make_loaded(), max_waiting=2)
    del engine._scheduler._slots[1:]
    streams = [engine.stream(ask("a")) for _ in range(3)]
    with pytest.raises(OverloadedError, match="try again"):
        engine.stream(ask("a"))
    streams[1].close()
    assert len(list(engine.stream(ask("b"), whole=True))) == 1


def test_a_big_list_is_never_refused() -> None:
    engine = LocalEngine(make_loaded(), max_waiting=0)
    del engine._scheduler._slots[2:]
    answers = engine.generate([ask(str(number), 2) for number in range(9)])
    assert [answer.error for answer in answers] == [None] * 9


def test_closing_from_another_thread_ends_the_wait_and_frees_the_place() -> None:
    engine = LocalEngine(make_loaded(), own_thread=True)
    answers = engine.stream(ask("a", 450, logit_bias={1: -100.0}), whole=True)
    waiting = threading.Timer(0.05, answers.close)
    waiting.start()
    assert list(answers) == []
    assert engine.generate([ask("after")])[0].error is None
    assert engine._scheduler.running() == []
    engine.close()
