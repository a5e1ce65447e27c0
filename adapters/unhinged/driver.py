"""Drives unhinged: one task that interprets every program."""

import os
import sys
from importlib.metadata import version

import hydra_driver as hydra
from unhinged import Unhinged

QUEUE = "q"
VERSION = version("unhinged")
app = Unhinged(os.environ["HYDRA_STORE"], queue_name=QUEUE)


@app.register_task("program")
def program(params, ctx):
    execution, saw = params["program"]["id"], {}
    for item in params["program"]["body"]:
        if "sleep" in item:
            ctx.sleep_for(item["sleep"]["id"], item["sleep"]["ms"] / 1000)
            continue
        step = item["step"]["id"]
        key = f"{ctx.task_id}:{step}"
        value = ctx.step(step, lambda: hydra.ask(execution, step, saw, key=key, other_input=params["other_input"]))
        saw[step] = hydra.seen(value)
    return saw


def start(asked):
    params = {"program": asked["program"], "other_input": asked.get("other_input", False)}
    # The client's own limit on attempts is the task's; the delay is kept short so that a run ends in seconds.
    app.spawn(
        "program",
        params,
        queue=QUEUE,
        idempotency_key=asked["execution"],
        max_attempts=5,
        retry_strategy={"kind": "fixed", "base_seconds": 0.2},
    )


def task_of(execution):
    row = app.engine._conn.execute(f"select task_id from t_{QUEUE} where idempotency_key = ?", (execution,)).fetchone()
    return row and row[0]


STATUS = {"pending": "pending", "running": "running", "sleeping": "running", "completed": "succeeded"}


def result(asked):
    task = task_of(asked["execution"])
    if task is None:
        return {"status": "missing"}
    found = app.fetch_task_result(task, queue=QUEUE)
    return {"status": STATUS.get(found.state, found.state), "saw": found.result or {}, "reason": str(found.failure or "")}


def cancel(asked):
    app.cancel_task(task_of(asked["execution"]), queue=QUEUE)


if sys.argv[1] == "worker":
    app.create_queue()
    hydra.ready(VERSION)
    app.start_worker(
        worker_id=os.environ["HYDRA_WORKER"],
        claim_timeout=int(os.environ["LEASE_SECONDS"]),
        concurrency=int(os.environ.get("HYDRA_CONCURRENCY", "4")),
        poll_interval=0.05,
    )
else:
    app.create_queue()
    hydra.serve(VERSION, {"start": start, "result": result, "cancel": cancel})
