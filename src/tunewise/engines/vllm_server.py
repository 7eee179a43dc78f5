"""A vLLM server as a child process that never outlives this one."""

from __future__ import annotations

import http.client
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from tunewise.engines import keeper
from tunewise.engines.vllm_spec import VllmSpec
from tunewise.errors import EndpointError, SpecError
from tunewise.settings import child_environment

HOST = "127.0.0.1"
POLL_S = 0.2
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for the largest rank."""

_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?((INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:]+ \[[\w./]+:\d+\] )?")
_EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Exit|Interrupt)\b: ?.*")
_CONSEQUENCE = re.compile(r"initialization failed|[Ss]ee (the )?root cause|[Ss]ee stack trace")


class VllmServer:
    """Starts `vllm serve` on a free local port; `wait_until_ready`, then ask it at `url` with `key`."""

    def __init__(self, spec: VllmSpec, folder: Path, served_name: str, logs: Path) -> None:
        """Serve the model in `folder`. Raises `SpecError` where there is no such command."""
        executable = shutil.which(spec.command)
        if executable is None:
            raise SpecError(
                f"there is no program {spec.command!r}: install vLLM into an environment of its own, and "
                "give the path of its `vllm` as TUNEWISE_VLLM"
            )
        self._port = _free_port()
        self.url = f"http://{HOST}:{self._port}/v1"
        self.key = secrets.token_urlsafe()
        """Other users of this machine can reach the port, too."""
        self._log = logs / f"vllm-{self._port}.log"
        self._ended = False
        logs.mkdir(parents=True, exist_ok=True)
        command = [
            str(Path(executable).absolute()),
            "serve",
            str(folder),
            *_options(spec, served_name, self._port),
        ]
        environment = child_environment(
            VLLM_CPU_KVCACHE_SPACE="2",  # GiB; only vLLM for CPUs reads it, and would take half the memory.
            VLLM_NO_USAGE_STATS="1",
            HF_HUB_OFFLINE="1",
        ) | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_API_KEY": self.key}
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # A group of its own, which Ctrl-C in a terminal does not reach.
            )

    def wait_until_ready(self, timeout_s: float) -> None:
        """Raises `EndpointError` if it ends before that, or takes longer; it is ended then."""
        deadline = time.monotonic() + timeout_s
        try:
            while not self._is_healthy():
                if (reason := self.reason_to_end()) is not None:
                    raise EndpointError(reason)
                if time.monotonic() > deadline:
                    raise EndpointError(f"vLLM was not ready after {timeout_s:g} s; its log is {self._log}")
                time.sleep(POLL_S)
        except BaseException:
            self.close()
            raise

    def reason_to_end(self) -> str | None:
        """Why it is gone, in one line; None while it runs."""
        if self._ended:
            return "the vLLM server was ended"
        if self._process.poll() is None:
            return None
        return f"vLLM ended: {last_useful_line(self._log)}; its log is {self._log}"

    def close(self) -> None:
        """End it and all that it started; the log is kept only if it ended by itself."""
        if self._ended:
            return
        ended_by_itself = self._process.poll() is not None
        self._ended = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if not ended_by_itself:
            self._log.unlink(missing_ok=True)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def last_useful_line(log: Path) -> str:
    """The last exception that is no mere consequence of another, or else the last line."""
    lines = [_PREFIX.sub("", line).strip() for line in log.read_text("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    exceptions = [line for line in lines if _EXCEPTION.match(line) and not _CONSEQUENCE.search(line)]
    return (exceptions or lines or ["it said nothing"])[-1][:300]


def _options(spec: VllmSpec, served_name: str, port: int) -> list[str]:
    rank = next(rank for rank in LORA_RANKS if rank >= spec.max_lora_rank)
    options = {
        "host": HOST,
        "port": port,
        "served-model-name": served_name,
        "dtype": spec.precision,
        "max-loras": spec.max_loras + spec.base_as_adapter,
        "max-lora-rank": rank,
        # Nothing of the model's own: each request says how it is to be answered.
        "generation-config": "vllm",
        "uvicorn-log-level": "warning",
    }
    return ["--enable-lora", *(str(part) for name, value in options.items() for part in (f"--{name}", value))]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
