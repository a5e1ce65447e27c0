"""A workflow engine in a hundred lines, on the standard library's SQLite, to try the auditor with.

FENCED=0 plants a bug: the end of an execution is recorded by whoever comes to it, also by a worker that lost its lease.
"""

import json
import os
import sqlite3
import sys
import threading
import time
import urllib.request

LEASE = 1.0
FENCED = os.environ.get("FENCED", "1") == "1"
ME = f"{os.environ.get('HYDRA_WORKER')}-{os.getpid()}"
say = lambda what: print(json.dumps(what), flush=True)


def connect():
    db = sqlite3.connect(os.environ["HYDRA_STORE"], timeout=20, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("create table if not exists runs (id text primary key, input, status, owner, until real, saw, ended)")
    db.execute("create table if not exists steps (run, step, value, primary key (run, step))")
    return db


def body(run, step, saw):
    question = json.dumps({"execution": run, "step": step, "saw": saw}).encode()
    request = urllib.request.Request(os.environ["HYDRA_DOOR"] + "/effect", question, {"content-type": "application/json"})
    told = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request))
    return told["value"] if told["do"] == "return" else None


def beat(run, done):
    db = connect()
    while not done.wait(LEASE / 4):
        db.execute("update runs set until=? where id=? and owner=?", (time.time() + LEASE, run, ME))


def drive(db, run, program):
    saw = {}
    for item in program["body"]:
        if "sleep" in item:
            time.sleep(item["sleep"]["ms"] / 1000)
            continue
        step = item["step"]["id"]
        known = db.execute("select value from steps where run=? and step=?", (run, step)).fetchone()
        if not known:
            value = None
            while value is None:
                value = body(run, step, saw)
            mine = "select ?, ?, ? where exists (select 1 from runs where id=? and owner=?)"
            written = db.execute(f"insert or ignore into steps {mine}", (run, step, value, run, ME)).rowcount
            known = db.execute("select value from steps where run=? and step=?", (run, step)).fetchone()
            if FENCED and not written:
                return
        saw[step] = {"value": known[0] if known else value}
    owned = " and owner=? and status='running'" if FENCED else " and ? is not null"
    db.execute(f"update runs set status='succeeded', saw=?, ended=? where id=?{owned}", (json.dumps(saw), time.time(), run, ME))


def worker():
    db = connect()
    say({"ready": True, "version": "1.0"})
    while True:
        claim = "update runs set owner=?, until=?, status='running' where id in (select id from runs where status in ('pending', 'running') and until < ? limit 1) returning id, input"
        claimed = db.execute(claim, (ME, time.time() + LEASE, time.time())).fetchall()
        for run, program in claimed:
            done = threading.Event()
            threading.Thread(target=beat, args=(run, done), daemon=True).start()
            drive(db, run, json.loads(program))
            done.set()
        if not claimed:
            time.sleep(0.05)


def client():
    db = connect()
    say({"ready": True, "version": "1.0"})
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"ok": True}
        if asked["op"] == "start":
            row = (asked["execution"], json.dumps(asked["program"]))
            db.execute("insert or ignore into runs values (?, ?, 'pending', null, 0, null, null)", row)
        else:
            found = db.execute("select status, saw, ended from runs where id=?", (asked["execution"],)).fetchone()
            status, saw, ended = found or ("missing", None, None)
            answer = {"status": status, "saw": json.loads(saw or "{}"), "stamp": f"ended {ended}" if ended else None}
        say({"id": asked["id"], **answer})


worker() if sys.argv[1] == "worker" else client()
