"""A workflow engine on PostgreSQL, spoken to in its own protocol, to try the auditor with: the row of a transactional step
and its checkpoint are one transaction, sent in one piece. BUG plants one of these:

two-transactions: they are two. A worker that is killed, or cut off, before or after that piece shows nothing of it.
asks-anew: a commit whose reply is lost is taken for one that failed, and the step is done again without a look.

Or a habit that is no bug under a supervisor:

dies: a worker dies with its connection, and when it cannot connect at its start.
dies-for-good: and what is started after there was work says that it cannot.
"""

import json
import os
import re
import socket
import struct
import sys
import time
import urllib.request

BUG = os.environ["BUG"]
begun = set()
say = lambda what: print(json.dumps(what), flush=True)
text = lambda value: "'" + value.replace("'", "''") + "'"


class Database:
    def __init__(self):
        user, port, name = re.fullmatch(r"\w+://(\w+)@[\d.]+:(\d+)/(\w+)", os.environ["HYDRA_STORE"]).groups()
        self.socket = socket.create_connection(("127.0.0.1", int(port)))
        hello = struct.pack("!i", 3 << 16) + f"user\0{user}\0database\0{name}\0\0".encode()
        self.socket.sendall(struct.pack("!i", len(hello) + 4) + hello)
        self.answers = self.socket.makefile("rb")
        self.answer()

    def ask(self, *statements):
        """Sends all of them in one piece; answers the rows of the last."""
        messages = [statement.encode() + b"\0" for statement in statements]
        self.socket.sendall(b"".join(b"Q" + struct.pack("!i", len(message) + 4) + message for message in messages))
        return [self.answer() for _ in statements][-1]

    def answer(self):
        rows = []
        while True:
            head = self.answers.read(5)
            if len(head) < 5:
                raise OSError("the connection is closed")
            tag, length = struct.unpack("!ci", head)
            body = self.answers.read(length - 4)
            if tag == b"E":
                raise OSError(body)
            if tag == b"Z":
                return rows
            if tag == b"D":
                rows.append(fields(body))


def fields(body):
    (count,), at, row = struct.unpack_from("!h", body), 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        row.append(None if length < 0 else body[at + 4 : at + 4 + length].decode())
        at += 4 + max(length, 0)
    return row


def body(run, step, saw):
    question = json.dumps({"execution": run, "step": step, "saw": saw}).encode()
    request = urllib.request.Request(os.environ["HYDRA_DOOR"] + "/effect", question, {"content-type": "application/json"})
    return json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request))["value"]


def drive(db, run, program):
    saw = {}
    for item in program["body"]:
        step = item["step"]["id"]
        known = db.ask(f"select value from steps where run = {text(run)} and step = {text(step)}")
        if BUG == "asks-anew" and (run, step) in begun:
            known = []
        value = known[0][0] if known else body(run, step, saw)
        if not known:
            begun.add((run, step))
            row = f"values ({text(run)}, {text(step)}, {text(value)})"
            both = [f"insert into effects {row}", f"insert into steps {row} on conflict do nothing"]
            db.ask(*(both if BUG == "two-transactions" else ["begin", *both, "commit"]))
        begun.discard((run, step))
        saw[step] = {"value": value}
    db.ask(f"update runs set saw = {text(json.dumps(saw))} where id = {text(run)}")


def until_answered(what):
    """Does it over a connection of its own, as often as it takes."""
    while True:
        try:
            return what(Database())
        except OSError:
            time.sleep(0.05)


def create(db):
    for table in ("runs (id text primary key, input text, saw text)", "effects (run text, step text, value text)"):
        db.ask(f"create table if not exists {table}")
    db.ask("create table if not exists steps (run text, step text, value text, primary key (run, step))")


def work(db):
    while True:
        for run, program in db.ask("select id, input from runs where saw is null"):
            drive(db, run, json.loads(program))
        time.sleep(0.05)


def worker():
    if BUG.startswith("dies"):
        return mortal(Database())
    until_answered(create)
    say({"ready": True, "version": "1.0"})
    until_answered(work)


def mortal(db):
    create(db)
    if BUG == "dies-for-good" and db.ask("select id from runs"):
        sys.exit("it does not feel like it")
    say({"ready": True, "version": "1.0"})
    work(db)


def answer(db, asked):
    run = text(asked["execution"])
    if asked["op"] == "start":
        program = text(json.dumps(asked["program"]))
        db.ask(f"insert into runs values ({run}, {program}, null) on conflict do nothing")
        return {"ok": True}
    found = db.ask(f"select saw from runs where id = {run}")
    status = "missing" if not found else "succeeded" if found[0][0] else "running"
    rows = db.ask(f"select step, value from effects where run = {run}")
    committed = [{"step": step, "value": value} for step, value in rows]
    return {"status": status, "saw": json.loads(found and found[0][0] or "{}"), "committed": committed}


def client():
    say({"ready": True, "version": "1.0"})
    for line in sys.stdin:
        asked = json.loads(line)
        say({"id": asked["id"], **until_answered(lambda db: answer(db, asked))})


worker() if sys.argv[1] == "worker" else client()
