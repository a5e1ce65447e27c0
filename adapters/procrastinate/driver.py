"""Drives procrastinate: one task, of one body, and the reaper of stalled jobs that its documentation shows."""

import asyncio
import os
import sys
from importlib.metadata import version

import hydra_driver as hydra
import psycopg
from procrastinate import App, PsycopgConnector, RetryStrategy

VERSION = version("procrastinate")
STALLED_SECONDS = int(os.environ["STALLED_SECONDS"])
app = App(connector=PsycopgConnector(conninfo=os.environ["HYDRA_STORE"]))


@app.task(name="program", retry=RetryStrategy(max_attempts=4, wait=0))
def program(program, other_input):
    step = program["body"][0]["step"]["id"]
    hydra.ask(program["id"], step, {}, other_input=other_input)


@app.periodic(cron="* * * * * */2")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context, timestamp):
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        await app.job_manager.retry_job(job)


async def worker():
    async with app.open_async():
        hydra.ready(VERSION)
        await app.run_worker_async(
            name=os.environ["HYDRA_WORKER"],
            concurrency=4,
            install_signal_handlers=False,
            fetch_job_polling_interval=0.2,
            update_heartbeat_interval=1,
            stalled_worker_timeout=STALLED_SECONDS,
        )


def client():
    db = psycopg.connect(os.environ["HYDRA_STORE"], autocommit=True)
    words = {"todo": "pending", "doing": "running", "aborting": "running", "aborted": "cancelled"}

    def start(asked):
        program.defer(program=asked["program"], other_input=asked.get("other_input", False))

    def result(asked):
        sql = "select status from procrastinate_jobs where args->'program'->>'id' = %s order by id limit 1"
        found = db.execute(sql, (asked["execution"],)).fetchone()
        return {"status": words.get(found[0], found[0]) if found else "missing"}

    with app.open():
        hydra.serve(VERSION, {"start": start, "result": result})


if __name__ == "__main__":
    asyncio.run(worker()) if sys.argv[1] == "worker" else client()
