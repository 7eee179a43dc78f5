from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tunewise.serve.wire import ChatCompletionRequest

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
TEXT = st.sampled_from(["", "a", "auto", "text", "type", "role", "user", "content", "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(ChatCompletionRequest.model_fields)), JSON, max_size=4))
def test_whatever_a_field_holds_it_is_taken_or_refused(fields: dict[str, Any]) -> None:
    try:
        request, *others = ChatCompletionRequest.model_validate(QUESTION | fields).to_records()
    except ValidationError:
        return
    assert request.max_tokens is None or request.max_tokens >= 1
    assert 0 <= request.temperature <= 2
    assert 0 < request.top_p <= 1
    assert all(request.stop)
    assert len(others) < 8
    assert request.top_logprobs in {None, *range(21)}
    assert all(isinstance(token, int) and -100 <= bias <= 100 for token, bias in request.logit_bias.items())
    "".join((request.model, *request.stop, *(message.content for message in request.messages))).encode()
