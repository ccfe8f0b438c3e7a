"""The process pool that CPU work runs in, so that the event loop only ever waits: heartbeats run there."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any


class ProcessPool:
    """`await pool(function, *arguments)`: runs a picklable top-level function in a worker process.

    Each computes in one thread (`services/clustering/threads.py`): several processes with several BLAS threads each
    fight for the same cores. A level of 1,000 leaves took 49 s so on two busy cores, and 1.8 s with one thread.
    Processes are spawned, not forked: a fork of a process with threads and an event loop inherits locked locks. They
    start when the pool is warmed or first used, and a process that dies (out of memory, say) costs one retry.
    """

    def __init__(self, processes: int | None = None, warm_up: Callable[[], None] | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._warm_up = warm_up
        self._executor: ProcessPoolExecutor | None = None

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        for last in (False, True):
            executor = self._executor = self._executor or self._start()
            try:
                return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
            except BrokenProcessPool:
                if self._executor is executor:
                    executor.shutdown(wait=False, cancel_futures=True)
                    self._executor = None
                if last:
                    raise
        raise AssertionError("unreachable")

    async def warm(self) -> None:
        """Starts all processes and lets each load its libraries, off anybody's waiting time."""
        await asyncio.gather(*(self(pause) for _ in range(self._processes)))

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=self._processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin,
            initargs=(self._warm_up,),
        )


def begin(warm_up: Callable[[], None] | None) -> None:
    # Ctrl-C in a terminal reaches every process of the group; who stops the pool is the process that owns it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    if warm_up is not None:
        warm_up()


def end_with_parent() -> None:
    """A pool's processes wait for work on a pipe whose other end they hold themselves: when their parent is killed
    they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def pause() -> None:
    # Long enough that one process does not take the turn of two.
    time.sleep(0.2)
