from __future__ import annotations

import gc
import random
import re
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from toy import CHATML, make_loaded, make_model
from tunewise.engines.local import LocalEngine
from tunewise.errors import ModelNotFoundError, RequestError
from tunewise.models.adapters import save_adapter
from tunewise.records import ChatRequest, Message
from tunewise.train.lora import add_lora


@pytest.fixture(params=[False, True], ids=["caller computes", "own thread"])
def engine(request: pytest.FixtureRequest) -> Iterator[LocalEngine]:
    engine = LocalEngine(make_loaded(), own_thread=request.param)
    yield engine
    engine.close()


def ask(text: str, model: str = "toy", max_tokens: int | None = 12, **options: object) -> ChatRequest:
    return ChatRequest(model, (Message("user", text),), max_tokens, **options)  # type: ignore[arg-type]


def save_random_adapter(folder: Path, seed: int) -> Path:
    layers = add_lora(make_model(), 4, 8.0, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in layers.values():
        torch.nn.init.normal_(layer.b, std=0.3, generator=generator)
    save_adapter(folder, {n: (layer.a, layer.b) for n, layer in layers.items()}, 4, 8.0, "toy")
    return folder


def plain_greedy(engine: LocalEngine, request: ChatRequest, adapter: Path | None = None) -> str:
    """What transformers' own `generate` answers."""
    model = make_model(attention="eager")
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    tokenizer = engine._loaded.tokenizer
    ids = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in request.messages],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=False,
    )
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.max_tokens,
        do_sample=False,
        pad_token_id=1,
    )
    return str(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))


PROMPTS = ["a", "what is 2 + 2?", "x" * 70, "hello there", "£ and €", "abc" * 30, "z", "one more question"]


def test_greedy_answers_are_those_of_transformers(engine: LocalEngine) -> None:
    requests = [ask(text) for text in PROMPTS]
    answers = [completion.text for completion in engine.generate(requests)]
    assert answers == [plain_greedy(engine, request) for request in requests]


def test_base_and_adapters_answer_in_one_batch_each_as_itself(engine: LocalEngine, tmp_path: Path) -> None:
    adapters = {f"ft:{i}": save_random_adapter(tmp_path / str(i), i) for i in (1, 2)}
    for name, path in adapters.items():
        engine.load(name, path)
    requests = [ask(text, model) for text in PROMPTS[:4] for model in ("ft:1", "toy", "ft:2")]
    answers = [completion.text for completion in engine.generate(requests)]
    assert answers == [plain_greedy(engine, r, adapters.get(r.model)) for r in requests]
    assert len({answers[0], answers[1], answers[2]}) == 3


def test_a_prompt_that_begins_like_an_earlier_one_is_answered_the_same(engine: LocalEngine) -> None:
    prefix = "Here is a long beginning that many prompts share, word for word. "
    requests = [ask(prefix + text) for text in PROMPTS]
    fresh = []
    for request in requests:
        alone = LocalEngine(make_loaded())
        fresh.append(alone.generate([request])[0].text)
        alone.close()
    for _ in range(2):
        assert [completion.text for completion in engine.generate(requests)] == fresh


def test_a_prompt_longer_than_a_step_is_computed_in_chunks(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._scheduler, "_max_step_tokens", 16)
    requests = [ask(text) for text in PROMPTS]
    assert [c.text for c in engine.generate(requests)] == [plain_greedy(engine, r) for r in requests]


def test_more_requests_than_slots_are_all_answered_in_order(
    engine: LocalEngine,
) -> None:
    del engine._scheduler._slots[3:]
    requests = [ask(text) for text in PROMPTS * 3]
    done: list[int] = []
    answers = [completion.text for completion in engine.generate(requests, done.append)]
    assert answers[: len(PROMPTS)] == [plain_greedy(engine, ask(text)) for text in PROMPTS]
    assert answers == answers[: len(PROMPTS)] * 3
    assert sorted(done) == list(range(len(requests)))


def test_prompts_that_begin_alike_are_computed_after_each_other_wherever_they_stand_in_the_list(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del engine._scheduler._slots[2:]
    beginnings = [f"{letter * 60} " for letter in "abc"]
    requests = [ask(beginning + end, max_tokens=1) for end in "xyz" for beginning in beginnings]
    computed: list[int] = []
    compute = engine._compute
    monkeypatch.setattr(
        engine, "_compute", lambda c: (computed.extend(k.end - k.start for _, k in c), compute(c))[1]
    )
    answers = [completion.text for completion in engine.generate(requests)]
    whole = engine.count_tokens("toy", requests[0].messages)
    assert sum(computed) <= 3 * whole + 6 * (whole - 60)
    assert answers == [plain_greedy(engine, request) for request in requests]


def test_usage_counts_prompt_and_answer(engine: LocalEngine) -> None:
    completion = engine.generate([ask("stream me", max_tokens=5)])[0]
    assert completion.input_tokens == engine.count_tokens("toy", [Message("user", "stream me")])
    assert (completion.finish_reason, completion.output_tokens) == ("length", 5)
    assert engine.count_answer_tokens("toy", "four") == 5


def test_a_stream_adds_up_to_the_plain_answer(engine: LocalEngine) -> None:
    plain = engine.generate([ask("stream me", max_tokens=40)])[0]
    deltas = list(engine.stream(ask("stream me", max_tokens=40)))
    assert "".join(delta.text for delta in deltas) == plain.text
    assert deltas[-1].completion is not None
    assert deltas[-1].completion.text == plain.text
    assert len(deltas) > 5


def test_a_stop_string_ends_the_answer_before_it_and_is_never_streamed(engine: LocalEngine) -> None:
    answers = {text: engine.generate([ask(text, max_tokens=40)])[0].text for text in PROMPTS}
    # Two printable characters on end: a stop string that spans two tokens of this model.
    question, found = next((t, m) for t, a in answers.items() if (m := re.search(r"(?<=..)[!-~]{2}", a)))
    cut = answers[question][: answers[question].index(found[0])]
    request = ask(question, max_tokens=40, stop=(found[0],))
    assert engine.generate([request])[0].text == cut
    deltas = list(engine.stream(request))
    assert "".join(delta.text for delta in deltas) == cut
    assert deltas[-1].completion is not None
    assert deltas[-1].completion.finish_reason == "stop"
    assert len(cut) > 1


def test_a_seed_gives_the_same_sample_again_and_another_seed_another(engine: LocalEngine) -> None:
    def sample(seed: int) -> str:
        return engine.generate([ask("dice", max_tokens=30, temperature=1.0, seed=seed)])[0].text

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("temperature", [1e-3, 1e-40])
def test_a_tiny_temperature_is_greedy(engine: LocalEngine, temperature: float) -> None:
    sampled = engine.generate([ask("t", temperature=temperature, seed=1)])[0].text
    assert sampled == engine.generate([ask("t")])[0].text


def test_of_several_stop_strings_the_first_in_the_text_ends_it(engine: LocalEngine) -> None:
    answer = engine.generate([ask("a", max_tokens=40)])[0].text
    early, late = answer[3:5], answer[4:6]
    cut = engine.generate([ask("a", max_tokens=40, stop=(late, early))])[0].text
    assert cut == answer[: answer.index(early)]


def test_a_step_that_is_interrupted_leaves_nothing_half_computed(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine._thread is not None:
        pytest.skip("only a caller that computes can be interrupted")
    request = ask("a prompt that is long enough to be copied later on")
    expected = plain_greedy(engine, request)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine._decoder, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.generate([request])
    monkeypatch.undo()
    assert engine.generate([request])[0].text == expected


def test_memory_that_runs_out_on_admission_reaches_every_caller(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError("no room for the cache")

    monkeypatch.setattr(engine._cache, "reserve", out_of_memory)
    with pytest.raises(MemoryError):
        engine.generate([ask("a"), ask("b")])
    monkeypatch.undo()
    assert engine.generate([ask("a")])[0].error is None


def test_a_tiny_top_p_is_greedy(engine: LocalEngine) -> None:
    sampled = engine.generate([ask("p", temperature=1.0, top_p=1e-6, seed=1)])[0].text
    assert sampled == engine.generate([ask("p")])[0].text


def test_one_request_that_does_not_fit_fails_alone(engine: LocalEngine) -> None:
    good, bad = engine.generate([ask("fine"), ask("x" * 600)])
    assert good.error is None
    assert bad.finish_reason == "error"
    assert "context of toy holds 512" in (bad.error or "")
    with pytest.raises(RequestError, match="holds 512") as caught:
        engine.check(ask("x" * 600))
    assert caught.value.code == "context_length_exceeded"


def test_an_answer_without_a_limit_may_fill_the_context(engine: LocalEngine) -> None:
    completion = engine.generate([ask("x" * 440, max_tokens=None)])[0]
    assert completion.finish_reason == "length"
    assert completion.input_tokens + completion.output_tokens == 512


def test_an_unknown_model_is_an_error(engine: LocalEngine) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody"):
        engine.generate([ask("a", model="nobody")])


def test_an_unloaded_model_is_forgotten(engine: LocalEngine, tmp_path: Path) -> None:
    engine.load("ft:1", save_random_adapter(tmp_path, 1))
    assert engine.models() == ["toy", "ft:1"]
    engine.unload("ft:1")
    with pytest.raises(ModelNotFoundError):
        engine.check(ask("a", model="ft:1"))


def test_a_model_loaded_anew_copies_no_beginnings_of_its_former_self(
    engine: LocalEngine, tmp_path: Path
) -> None:
    first, second = (save_random_adapter(tmp_path / str(seed), seed) for seed in (1, 2))
    request = ask("a question long enough to be worth copying", model="ft:1")
    engine.load("ft:1", first)
    under_way = engine.stream(replace(request, max_tokens=300))
    next(under_way)
    engine.load("ft:1", second)
    assert engine.generate([request])[0].text == plain_greedy(engine, request, second)
    under_way.close()
    assert engine.generate([request])[0].text == plain_greedy(engine, request, second)


def test_greedy_answers_do_not_depend_on_the_company(tmp_path: Path) -> None:
    engine = LocalEngine(make_loaded())
    models = ["toy", "ft:1", "ft:2"]
    for seed, model in enumerate(models[1:], 1):
        engine.load(model, save_random_adapter(tmp_path / str(seed), seed))
    dice = random.Random(0)
    words = ["price", "of", "the", "£", "tea", "12.50", "and", "cheese", "?", "\u4eba"]
    requests = [
        ask(" ".join(dice.choices(words, k=dice.randint(1, 12))), model=dice.choice(models), max_tokens=10)
        for _ in range(200)
    ]
    alone = [engine.generate([request])[0].text for request in requests]
    order = dice.sample(range(200), 200)
    while order:
        size = dice.randint(1, 90)
        company, order = order[:size], order[size:]
        strangers = [ask("x" * dice.randint(1, 99), temperature=1.0, max_tokens=dice.randint(1, 20))] * 3
        together = engine.generate([*strangers, *(requests[i] for i in company)])[3:]
        assert [completion.text for completion in together] == [alone[i] for i in company]


def test_memory_stays_flat_over_thousands_of_requests(tmp_path: Path) -> None:
    engine = LocalEngine(make_loaded())
    for seed in (1, 2):
        engine.load(f"ft:{seed}", save_random_adapter(tmp_path / str(seed), seed))

    def ask_many(number: int) -> int:
        """Bytes that Python holds after that many requests of all kinds."""
        for i in range(0, number, 50):
            requests = [
                ask(f"{j} {PROMPTS[j % 8]}", ("toy", "ft:1", "ft:2")[j % 3], max_tokens=3, stop=("zz",))
                for j in range(i, i + 50)
            ]
            engine.generate(requests[:40])
            streamed = engine.stream(*requests[40:])
            next(streamed)
            streamed.close()
        engine.generate([ask("last")])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before, cache_bytes = ask_many(500), engine._cache.states.nbytes
        assert ask_many(2000) - before < 200_000
        assert engine._cache.states.nbytes == cache_bytes
    finally:
        tracemalloc.stop()


def test_the_adapters_own_chat_template_is_used(engine: LocalEngine, tmp_path: Path) -> None:
    folder = save_random_adapter(tmp_path, 1)
    (folder / "chat_template.jinja").write_text(CHATML.replace("Be kind.", ""))
    engine.load("ft:1", folder)
    question = [Message("user", "a")]
    assert engine.count_tokens("ft:1", question) == engine.count_tokens("toy", question) - len("Be kind.")


def test_closing_a_stream_frees_its_place(engine: LocalEngine) -> None:
    stream = engine.stream(ask("long", max_tokens=400))
    next(stream)
    stream.close()
    engine.generate([ask("after")])
    assert engine._scheduler.running() == []


def test_callers_in_many_threads_each_get_their_own_answer(engine: LocalEngine) -> None:
    answers: dict[str, str] = {}

    def call(text: str) -> None:
        answers[text] = engine.generate([ask(text)])[0].text

    threads = [threading.Thread(target=call, args=(text,)) for text in PROMPTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {text: plain_greedy(engine, ask(text)) for text in PROMPTS}


def test_scores_are_the_log_probabilities_of_the_answer(engine: LocalEngine, tmp_path: Path) -> None:
    folder = save_random_adapter(tmp_path, 1)
    engine.load("ft:1", folder)
    messages = [Message("user", "a")]
    template = engine._template("ft:1")
    answered = [*messages, Message("assistant", "ok")]
    ids = template.encode_example(answered).ids
    model = PeftModel.from_pretrained(make_model(attention="eager"), folder)
    logprobs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [logprobs[i - 1, ids[i]].item() for i in range(len(ids) - 3, len(ids))]
    assert engine.score("ft:1", answered) == pytest.approx(expected, abs=2e-4)
    assert engine.token_ids("ft:1", answered) == ids
    assert ids[:-3] == template.encode_prompt(messages)


def test_a_failing_step_reaches_every_caller_and_the_engine_goes_on(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_compute", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.generate([ask("a"), ask("b")])
    monkeypatch.undo()
    assert engine.generate([ask("a")])[0].error is None


def test_a_closed_engine_says_so(engine: LocalEngine) -> None:
    engine.close()
    with pytest.raises(RequestError, match="closed"):
        engine.generate([ask("a")])
