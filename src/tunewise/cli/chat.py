"""`tunewise chat`: one question, or a conversation, with a tuned model or a base."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.models import find_model_or_base
from tunewise.cli.output import Json
from tunewise.cli.run_options import Model
from tunewise.errors import RequestError, TunewiseError
from tunewise.records import ChatRequest, Completion, Message
from tunewise.settings import get_settings

if TYPE_CHECKING:
    from tunewise.engines.base import Engine

EXAMPLE = "Example: tunewise chat prices '3 kg of apples' --json"


def chat(
    model: Model,
    prompt: Annotated[
        str | None, typer.Argument(help="The question. Without one: a conversation, or what is piped in.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions that go before the question.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 512,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, max=2.0, help="0 takes the likeliest token each time, as evaluation does."),
    ] = 0.0,
    json: Json = False,
) -> None:
    """Ask a model one question, or talk to it.

    The answer is printed as it comes. Ctrl-D ends a conversation.
    """
    interactive = prompt is None and sys.stdin.isatty()
    question = prompt if prompt is not None or interactive else sys.stdin.read().strip()
    if not interactive and not question:
        raise RequestError("nothing to ask: give a prompt, or pipe one in")
    engine, model_id = _open(model)
    opening = (Message("system", system),) if system else ()
    request = ChatRequest(model_id, opening, max_tokens, temperature)
    if question:
        _answer(engine, _asking(request, question), json)
    else:
        _converse(engine, request, json)


def _open(name: str) -> tuple[Engine, str]:
    """An engine that answers for the model or base `name`, and the id to ask it under."""
    from tunewise.engines import open_engine, open_model_engine
    from tunewise.store.registry import Registry

    model = find_model_or_base(Registry(get_settings().registry), name)
    if isinstance(model, str):
        engine = open_engine(model)
        return engine, engine.base_id
    return open_model_engine(model), model.id


def _asking(request: ChatRequest, question: str) -> ChatRequest:
    return replace(request, messages=(*request.messages, Message("user", question)))


def _converse(engine: Engine, request: ChatRequest, json: bool) -> None:
    typer.echo(f"{request.model} (Ctrl-D ends)", err=True)
    while True:
        try:
            question = input("> ").strip()
            if question:
                asked = _asking(request, question)
                answer = _answer(engine, asked, json)
                request = replace(asked, messages=(*asked.messages, Message("assistant", answer.text)))
        except (EOFError, KeyboardInterrupt):
            typer.echo(err=True)
            return


def _answer(engine: Engine, request: ChatRequest, json: bool) -> Completion:
    """Print the answer as it comes, or all of it as JSON. Raises `TunewiseError` where there is none."""
    completion: Completion | None = None
    with closing(engine.stream(request)) as answer:
        for delta in answer:
            if not json:
                typer.echo(delta.text, nl=False)
            completion = delta.completion
    assert completion is not None, "an engine's last delta carries the completion"
    if completion.finish_reason == "error":
        raise TunewiseError(f"{request.model} could not answer: {completion.error}")
    typer.echo(_as_json(request.model, completion) if json else "")
    return completion


def _as_json(model: str, completion: Completion) -> str:
    """One line, so that a conversation's answers can be told apart."""
    return jsonlib.dumps(
        {
            "model": model,
            "answer": completion.text,
            "finish_reason": completion.finish_reason,
            "input_tokens": completion.input_tokens,
            "output_tokens": completion.output_tokens,
            "latency_ms": completion.latency_ms,
        },
        ensure_ascii=False,
    )
