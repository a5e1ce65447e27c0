"""Drives an engine for the auditor. Fill in the places marked ENGINE; `hydra adapter check` lists them. The protocol: adapters/README.md."""

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


VERSION = "0.0.0"  # ENGINE: the installed version, asked of the package itself


def program(params, run_step):
    """The one workflow: interprets every program. ENGINE: register this with your engine; run_step(name, body) is its step.

    An item is {"step": {"id", "kind", "attempts_max"}}; with sleeps = true in adapter.toml also {"sleep": {"id", "ms"}}, with
    parallel = true also {"parallel": [STEP, ...]}. What a body raises is for the engine to retry: let it through.
    """
    execution, saw = params["program"]["id"], {}
    for item in params["program"]["body"]:
        step = item["step"]["id"]
        saw[step] = seen(run_step(step, lambda: ask(execution, step, dict(saw), other_input=params["other_input"])))
    return saw


def start(asked):
    params = {"program": asked["program"], "other_input": asked.get("other_input", False)}
    raise NotImplementedError(f"ENGINE: start the workflow under the id {asked['execution']} with {params}")


def result(asked):
    raise NotImplementedError("ENGINE: return status (pending, running, succeeded, failed, cancelled, missing) and saw")


if sys.argv[1] == "worker":
    # ENGINE: start a worker on os.environ["HYDRA_STORE"], then say that it is ready, then work.
    ready(VERSION)
else:
    serve(VERSION, {"start": start, "result": result})
