"""Drives absurd: one task that interprets every program."""

import os
import sys
from importlib.metadata import version

import hydra_driver as hydra
import psycopg
from absurd_sdk import Absurd

QUEUE = "q"
VERSION = version("absurd-sdk")
app = Absurd(os.environ["HYDRA_STORE"], queue_name=QUEUE)


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
    # Attempts are the task's; the delay is kept short so that a run ends in seconds.
    app.spawn(
        "program",
        params,
        queue=QUEUE,
        idempotency_key=asked["execution"],
        max_attempts=5,
        retry_strategy={"kind": "fixed", "base_seconds": 0.2},
    )


def client():
    db = psycopg.connect(os.environ["HYDRA_STORE"], autocommit=True)
    words = {"completed": "succeeded", "sleeping": "running"}

    def find(execution):
        sql = f"select task_id, state, completed_payload from absurd.t_{QUEUE} where idempotency_key = %s"
        return db.execute(sql, (execution,)).fetchone()

    def result(asked):
        found = find(asked["execution"])
        if found is None:
            return {"status": "missing"}
        return {"status": words.get(found[1], found[1]), "saw": found[2] or {}}

    def cancel(asked):
        app.cancel_task(str(find(asked["execution"])[0]), queue_name=QUEUE)

    hydra.serve(VERSION, {"start": start, "result": result, "cancel": cancel})


if sys.argv[1] == "worker":
    hydra.ready(VERSION)
    lease = int(os.environ["LEASE_SECONDS"])
    concurrency = int(os.environ.get("HYDRA_CONCURRENCY", "1"))
    worker_id = os.environ["HYDRA_WORKER"]
    app.start_worker(worker_id=worker_id, claim_timeout=lease, concurrency=concurrency, poll_interval=0.05)
else:
    client()
