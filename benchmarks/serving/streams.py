"""Tokens per second and time to first token, for several numbers of streams, against each peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from results_file import Figure
from serving.bench import Bench
from serving.figures import paired_figure, unpaired_figure
from serving.worker import Turn


@dataclass(frozen=True)
class Workload:
    """So many streams at once, with short or long prompts."""

    streams: int
    long_prompts: bool = False

    @property
    def title(self) -> str:
        """As it stands in the results."""
        streams = "1 stream" if self.streams == 1 else f"{self.streams} streams"
        return f"{streams}, long prompts" if self.long_prompts else streams

    def target(self, peer: str) -> float | None:
        """How many times the peer's speed ours should be."""
        if self.streams == 1:
            return 0.5 if peer == "llama.cpp" else None
        return 1.5 if self.streams >= 64 else 1.2


def measure_streams(bench: Bench, workloads: Sequence[Workload]) -> list[Figure]:
    """Every engine in turn, the same new prompts for all."""
    engines = [bench.ours, *bench.peers]
    figures: list[Figure] = []
    for workload in workloads:
        turns: dict[str, list[Turn]] = {engine.name: [] for engine in engines}
        shares: list[float] = []
        for number in range(bench.rounds):
            draw = bench.prompts.long if workload.long_prompts else bench.prompts.short
            prompts = draw(workload.streams)
            # Whoever comes first in one round comes last in another.
            first = number % len(engines)
            for engine in engines[first:] + engines[:first]:
                turn = engine.write(prompts, bench.new_tokens)
                turns[engine.name].append(turn)
                print(f"round {number + 1}, {workload.title}: {engine.name} {turn.describe()}", flush=True)
            shares.append(bench.linear_share(turns[bench.ours.name][-1], workload.streams))
        figures += _figures(bench, workload, turns, median(shares))
    return figures


def _figures(
    bench: Bench, workload: Workload, turns: dict[str, list[Turn]], linear_share: float
) -> list[Figure]:
    limited_by = f"the linear layers alone: {linear_share:.0%} of the time"
    speeds = {name: [turn.tokens_per_second for turn in those] for name, those in turns.items()}
    waits = {name: [turn.median_first_token_seconds for turn in those] for name, those in turns.items()}
    ours = bench.ours.name
    figures = []
    for peer in (peer.name for peer in bench.peers):
        title, target = f"{workload.title}, against {peer}", workload.target(peer)
        figures += [
            paired_figure(f"{title}: speed", "tokens/s", speeds[ours], speeds[peer], target, limited_by),
            paired_figure(
                f"{title}: time to first token", "s", waits[ours], waits[peer], None, "computing the prompts"
            ),
        ]
    for peer, reason in bench.absent.items():
        title, target = f"{workload.title}, against {peer}: speed", workload.target(peer)
        figures.append(unpaired_figure(title, "tokens/s", speeds[ours], target, reason))
    return figures
