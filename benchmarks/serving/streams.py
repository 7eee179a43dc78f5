"""Tokens per second and time to first token, for several numbers of streams, against each peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from results_file import Figure
from serving.figures import paired_figure, unpaired_figure
from serving.process import EngineProcess
from serving.prompts import Prompts
from serving.worker import Turn


@dataclass(frozen=True)
class Workload:
    """So many streams at once, with short or long prompts."""

    streams: int
    long_prompts: bool = False

    @property
    def title(self) -> str:
        """As it stands in the results."""
        return (
            f"{self.streams} stream{'s'[: self.streams > 1]}{', long prompts' if self.long_prompts else ''}"
        )

    def target(self, peer: str) -> float | None:
        """How many times the peer's speed ours should be."""
        if self.streams == 1:
            return 0.5 if peer == "llama.cpp" else None
        return 1.5 if self.streams >= 64 else 1.2


def measure_streams(
    ours: EngineProcess,
    peers: Sequence[EngineProcess],
    absent: Mapping[str, str],
    linear: EngineProcess,
    prompts: Prompts,
    workloads: Sequence[Workload],
    new_tokens: int,
    rounds: int,
) -> list[Figure]:
    """Every engine in turn, the same new prompts for all; `absent` says why a peer is not among them."""
    engines = [ours, *peers]
    turns: dict[tuple[Workload, str], list[Turn]] = {}
    shares: dict[Workload, list[float]] = {}
    for number in range(rounds):
        # Whoever comes first in one round comes last in another.
        order = engines[number % len(engines) :] + engines[: number % len(engines)]
        for workload in workloads:
            drawn = (prompts.long if workload.long_prompts else prompts.short)(workload.streams)
            for engine in order:
                turn = engine.write(drawn, new_tokens)
                turns.setdefault((workload, engine.name), []).append(turn)
                print(f"round {number + 1}, {workload.title}: {engine.name} {_describe(turn)}", flush=True)
            seconds = new_tokens * linear.call("seconds", rows=workload.streams)
            shares.setdefault(workload, []).append(seconds / turns[workload, ours.name][-1].seconds)

    figures = []
    for workload in workloads:
        limited_by = f"the linear layers alone: {median(shares[workload]):.0%} of the time"
        mine = turns[workload, ours.name]
        for peer in peers:
            theirs = turns[workload, peer.name]
            title = f"{workload.title}, against {peer.name}"
            figures.append(
                paired_figure(
                    f"{title}: speed",
                    "tokens/s",
                    [_speed(turn) for turn in mine],
                    [_speed(turn) for turn in theirs],
                    workload.target(peer.name),
                    limited_by,
                )
            )
            figures.append(
                paired_figure(
                    f"{title}: time to first token",
                    "s",
                    [_first_token(turn) for turn in mine],
                    [_first_token(turn) for turn in theirs],
                    None,
                    "computing the prompts",
                )
            )
        for name, reason in absent.items():
            title = f"{workload.title}, against {name}: speed"
            speeds = [_speed(turn) for turn in mine]
            figures.append(unpaired_figure(title, "tokens/s", speeds, workload.target(name), reason))
    return figures


def _speed(turn: Turn) -> float:
    return turn.tokens / turn.seconds


def _first_token(turn: Turn) -> float:
    return median(turn.first_token_seconds)


def _describe(turn: Turn) -> str:
    return f"{_speed(turn):.1f} tokens/s, first token after {_first_token(turn):.2f} s"
