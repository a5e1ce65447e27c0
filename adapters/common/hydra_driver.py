"""What every Python driver shares: the door, the first line, the client's JSON lines. See adapters/README.md."""

import json
import os
import sys
import urllib.error
import urllib.request

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """The auditor told the body to fail; a retry may mend it."""


class FailedFinally(Failed):
    """The auditor told the body to fail in a way that no retry can mend."""


class Unencodable:
    """A result that no encoder takes."""

    def __reduce__(self):
        raise TypeError("told to return something that cannot be encoded")


def ask(execution, step, saw, attempt=None, key=None, other_input=False):
    """Asks the auditor what this body does, and does it: returns a value, or raises."""
    if os.environ.get("HYDRA_NO_DOOR"):  # a benchmark: bodies that do nothing
        return f"{execution}-{step}"
    question = {"execution": execution, "step": step, "saw": saw, "other_input": other_input}
    if attempt is not None:
        question["attempt"] = attempt
    if key is not None:
        question["key"] = key
    request = urllib.request.Request(
        os.environ["HYDRA_DOOR"] + "/effect",
        data=json.dumps(question).encode(),
        headers={"content-type": "application/json"},
    )
    with NO_PROXY.open(request) as reply:
        told = json.load(reply)
    if told["do"] == "return":
        return told["value"]
    if told["do"] == "unencodable":
        return Unencodable()
    raise (FailedFinally if told["do"] == "fail-finally" else Failed)(told["message"])


def seen(value):
    """How `saw` says what the workflow had of a step that succeeded."""
    return {"value": value}


def ready(version):
    """The first line of a worker and of a client."""
    print(json.dumps({"ready": True, "version": version}), flush=True)


def serve(version, operations):
    """The client side: answers `start`, `status`, `result` and `cancel` until its input ends."""
    ready(version)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            operation = operations.get(asked["op"]) or operations["result"]
            answer = operation(asked) or {"ok": True}
        except Exception as error:  # whatever the engine says is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": asked["id"], **answer}), flush=True)
