"""Drives DBOS Transact for Python: one workflow that interprets every program, started through a queue.

A transactional step is a datasource's: what its body writes and its checkpoint commit in one transaction, in the
application's database. On PostgreSQL that is the same database, on SQLite a file of its own."""

import os
import sys
from importlib.metadata import version

import hydra_driver as hydra
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, SQLAlchemyDatasource

VERSION = version("dbos")
STORE = os.environ["HYDRA_STORE"]
URL = STORE if "://" in STORE else "sqlite:///" + STORE
APP_URL = STORE if "://" in STORE else f"sqlite:///{os.environ['HYDRA_FOLDER']}/app.db"
EFFECTS = sa.Table("effects", sa.MetaData(), *[sa.Column(name, sa.Text) for name in ("execution", "step", "value")])
app_db = None


@DBOS.workflow(name="program")
def program(params):
    execution, saw = params["program"]["id"], {}
    for item in params["program"]["body"]:
        if "sleep" in item:
            DBOS.sleep(item["sleep"]["ms"] / 1000)
            continue
        step = item["step"]["id"]
        attempts = item["step"].get("attempts_max") or 3
        options = {"name": step, "retries_allowed": True, "max_attempts": attempts, "interval_seconds": 0.1}
        body = lambda: hydra.ask(execution, step, dict(saw), other_input=params["other_input"])
        if item["step"]["kind"] == "transactional":
            value = app_db.run_tx_step({"name": step}, commit, execution, step, body)
        else:
            value = DBOS.run_step(options, body)
        saw[step] = hydra.seen(value)
    return saw


def commit(execution, step, body):
    value = body()
    app_db.sql_session().execute(EFFECTS.insert().values(execution=execution, step=step, value=value))
    return value


def worker():
    identity = os.environ["HYDRA_IDENTITY"]
    config = {"name": "hydra", "system_database_url": URL, "application_version": "1", "executor_id": identity}
    DBOS(config={**config, "run_admin_server": False, "log_level": "WARNING"})
    global app_db
    app_db = SQLAlchemyDatasource.create(APP_URL)
    EFFECTS.metadata.create_all(app_db.engine)
    DBOS.launch()
    DBOS.register_queue("q", polling_interval_sec=0.1)
    hydra.ready(VERSION)
    import threading

    threading.Event().wait()


def client():
    db = DBOSClient(system_database_url=URL)
    app = sa.create_engine(APP_URL)

    def start(asked):
        params = {"program": asked["program"], "other_input": asked.get("other_input", False)}
        options = {"queue_name": "q", "workflow_name": "program", "workflow_id": asked["execution"]}
        db.enqueue({**options, "app_version": "1"}, params)

    def result(asked):
        found = db.list_workflows(workflow_ids=[asked["execution"]], load_output=True)
        if not found:
            return {"status": "missing"}
        states = {"SUCCESS": "succeeded", "ERROR": "failed", "CANCELLED": "cancelled", "ENQUEUED": "pending"}
        states |= {"MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed", "RETRIES_EXCEEDED": "failed"}
        status = states.get(found[0].status, "running")
        saw = found[0].output if status == "succeeded" else {}
        reason = str(found[0].error or "")
        rows = sa.select(EFFECTS.c.step, EFFECTS.c.value).where(EFFECTS.c.execution == asked["execution"])
        with app.connect() as connection:
            committed = [dict(row._mapping) for row in connection.execute(rows)]
        # Only an outcome is recorded once: the row of a cancelled one is touched by the queue too.
        stamp = f"updated_at {found[0].updated_at}" if status in ("succeeded", "failed") else None
        return {"status": status, "saw": saw, "reason": reason, "stamp": stamp, "committed": committed}

    def cancel(asked):
        db.cancel_workflow(asked["execution"])

    hydra.serve(VERSION, {"start": start, "result": result, "cancel": cancel})


worker() if sys.argv[1] == "worker" else client()
