"""A flow run in a process of its own that beats every second: `python -m tests.faults.beating KIND`.

It prints its run's id. KIND: `works` computes for LONG_S without a line of Python in between, `waits`
does nothing for LONG_S, `suspends` is suspended within a second of a beat, and its process ends.
"""

import hashlib
import os
import sys
import time
from typing import Any

from prefect import flow, flow_engine, task
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Suspended

LONG_S = 40.0
BLOCK_BYTES = 256 * 2**20


@task(name="train")
def long_step(kind: str) -> None:
    """What the run is at when it is looked at."""
    end = time.monotonic() + LONG_S
    if kind == "suspends":
        time.sleep(3.2)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, Suspended(timeout_seconds=3600), force=True)
        time.sleep(0.3)
        os._exit(0)
    block = bytes(BLOCK_BYTES) if kind == "works" else b""
    while time.monotonic() < end:
        hashlib.sha256(block) if block else time.sleep(0.1)


@flow(name="retrain")
def retrain(kind: str) -> None:
    """As refit's own flow: one long step."""
    print(flow_run.id, flush=True)
    long_step(kind)


def beat_every_second() -> None:
    """Prefect allows 30 s at least, so that a test of a few seconds has to overrule it."""
    engine: Any = flow_engine.BaseFlowRunEngine
    engine.heartbeat_seconds = property(lambda self: 1)
    flow_engine.MINIMUM_HEARTBEAT_INTERVAL = 1


if __name__ == "__main__":
    beat_every_second()
    retrain(sys.argv[1])
