"""A few-shot evaluation as `tunewise run` does it, against batches of transformers' `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from results_file import Figure
from serving.bench import Bench
from serving.figures import paired_figure
from serving.process import EngineProcess

NUM_SHOTS = 5
TARGET_RATIO = 4.0
MAX_STREAMS = 64
"""As many sequences as our engine decodes together."""


def measure_evaluation(
    bench: Bench, peer: EngineProcess, num_inputs: int, batch_sizes: Sequence[int]
) -> Figure:
    """Inputs per second, all after the same shots; answers end by themselves."""
    max_tokens = bench.prompts.max_answer_tokens
    batch = _fastest_batch(bench, peer, batch_sizes)
    speeds: dict[str, list[float]] = {bench.ours.name: [], peer.name: []}
    shares: list[float] = []
    for number in range(bench.rounds):
        prompts = bench.prompts.with_shots(num_inputs, NUM_SHOTS)
        ours = bench.ours.answer(prompts, max_tokens)
        theirs = peer.answer(prompts, max_tokens, batch=batch)
        speeds[bench.ours.name].append(num_inputs / ours.seconds)
        speeds[peer.name].append(num_inputs / theirs.seconds)
        shares.append(bench.linear_share(ours, min(MAX_STREAMS, num_inputs)))
        same = sum(a == b for a, b in zip(ours.texts, theirs.texts, strict=True))
        print(
            f"round {number + 1}, evaluation of {num_inputs} inputs: ours {ours.seconds:.1f} s, {peer.name} "
            f"{theirs.seconds:.1f} s in batches of {batch}; {same} answers are the same",
            flush=True,
        )
    return paired_figure(
        f"{NUM_SHOTS}-shot evaluation of {num_inputs} inputs, against {peer.name} in batches of {batch}",
        "inputs/s",
        speeds[bench.ours.name],
        speeds[peer.name],
        TARGET_RATIO,
        f"the linear layers alone, for the answers: {median(shares):.0%} of the time",
    )


def _fastest_batch(bench: Bench, peer: EngineProcess, batch_sizes: Sequence[int]) -> int:
    """The batch size in which the peer answers some inputs, as many as its largest batch, the fastest."""
    prompts = bench.prompts.with_shots(max(batch_sizes), NUM_SHOTS)
    max_tokens = bench.prompts.max_answer_tokens
    seconds = {size: peer.answer(prompts, max_tokens, batch=size).seconds for size in batch_sizes}
    print(f"{peer.name} takes, by batch size: {seconds}", flush=True)
    return min(seconds, key=lambda size: seconds[size])
