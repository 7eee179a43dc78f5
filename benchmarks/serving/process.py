"""An engine in a process of its own, so that what is not measured cannot slow down what is.

Threads that wait in a spin loop, and thread pools that together have more threads than there are cores, slow
their neighbours by a factor (`docs/log.md`). So each engine has its process, which is stopped whenever it is
not its turn.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving.worker import Prompt, Turn

BENCHMARKS = Path(__file__).parents[1]
GOODBYE_SECONDS = 10


class EngineProcess:
    """Runs `python -m serving.engines.MODULE ARGUMENTS` and calls its methods, one at a time."""

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        num_threads: int,
        python: Path | str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed with the engine
        reading, writing = os.pipe()
        self._replies = os.fdopen(reading)
        search_path = filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [python, "-m", f"serving.engines.{module}", str(writing), *arguments],
            pass_fds=[writing],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(search_path),
                "OMP_NUM_THREADS": str(num_threads),
                "HF_HUB_OFFLINE": "1",
                **(environment or {}),
            },
            # A group of the same session: all of an engine's processes stop together, and should this
            # process be killed, the system wakes and ends them.
            process_group=0,
        )
        os.close(writing)
        try:
            self._reply()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **arguments: Any) -> Any:
        """Let it go on, call a method, and stop it again once the result is there."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def write(self, prompts: list[Prompt], tokens: int, **arguments: Any) -> Turn:
        """Have every prompt answered with exactly `tokens` tokens, all at once."""
        turn = self._turn("write", prompts, tokens=tokens, **arguments)
        if turn.tokens != len(prompts) * tokens:
            raise RuntimeError(f"{self.name} wrote {turn.tokens} tokens instead of {len(prompts)} x {tokens}")
        return turn

    def answer(self, prompts: list[Prompt], max_tokens: int, **arguments: Any) -> Turn:
        """Have every prompt answered until its answer ends by itself, or is cut after `max_tokens`."""
        return self._turn("answer", prompts, max_tokens=max_tokens, **arguments)

    def close(self) -> None:
        """End it and all processes it started."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GOODBYE_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._replies.close()
        self._log.close()

    def _turn(self, method: str, prompts: list[Prompt], **arguments: Any) -> Turn:
        return Turn(**self.call(method, prompts=[asdict(prompt) for prompt in prompts], **arguments))

    def _reply(self) -> Any:
        line = self._replies.readline()
        reply = json.loads(line) if line else {"error": "it ended"}
        if "error" in reply:
            self._log.seek(0)
            raise RuntimeError(f"{self.name}: {reply['error']}\n{self._log.read()[-4000:]}")
        self._signal(signal.SIGSTOP)
        return reply["result"]

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
