// Drives an engine for the auditor. Fill in the places marked ENGINE; `hydra adapter check` lists them. The protocol: adapters/README.md.

import { createInterface } from "node:readline";

/** The auditor told the body to fail; a retry may mend it. */
class Failed extends Error {}

/** The auditor told the body to fail in a way that no retry can mend. */
class FailedFinally extends Failed {}

/** Asks the auditor what this body does, and does it: answers a value, or throws. */
async function ask(execution, step, saw, { attempt, key, otherInput = false } = {}) {
  const question = { execution, step, saw, attempt, key, other_input: otherInput };
  const reply = await fetch(`${process.env.HYDRA_DOOR}/effect`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
  });
  if (!reply.ok) throw new Error(`the door refused: ${await reply.text()}`);
  const told = await reply.json();
  if (told.do === "return") return told.value;
  if (told.do === "unencodable") return 10n; // JSON has no BigInt
  throw new (told.do === "fail-finally" ? FailedFinally : Failed)(told.message);
}

/** How `saw` says what the workflow had of a step that succeeded. */
const seen = (value) => ({ value });

/** The first line of a worker and of a client. */
const ready = (version) => console.log(JSON.stringify({ ready: true, version }));

/** The client side: answers `start`, `status`, `result` and `cancel` until its input ends. */
async function serve(version, operations) {
  ready(version);
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    let answer;
    try {
      answer = (await (operations[asked.op] ?? operations.result)(asked)) ?? { ok: true };
    } catch (error) {
      answer = { error: String(error) };
    }
    console.log(JSON.stringify({ id: asked.id, ...answer }));
  }
  process.exit(0);
}

const version = "0.0.0"; // ENGINE: the installed version, read from the package itself

// The one workflow: interprets every program. ENGINE: define it with your engine; runStep(name, body) is its step.
// An item is {"step": {"id", "kind", "attempts_max"}}; with sleeps = true in adapter.toml also {"sleep": {"id", "ms"}}, with
// parallel = true also {"parallel": [STEP, ...]}. What a body throws is for the engine to retry: let it through.
async function program(input, runStep) {
  const saw = {};
  for (const { step } of input.program.body) {
    const body = () => ask(input.program.id, step.id, { ...saw }, { otherInput: input.other_input });
    saw[step.id] = seen(await runStep(step.id, body));
  }
  return saw;
}

if (process.argv[2] === "worker") {
  // ENGINE: start a worker on process.env.HYDRA_STORE, then say that it is ready.
  ready(version);
} else {
  await serve(version, {
    start: async ({ program, execution, other_input = false }) => {
      throw new Error(`ENGINE: start the workflow under the id ${execution}, input ${JSON.stringify({ program, other_input })}`);
    },
    result: async ({ execution }) => {
      throw new Error(`ENGINE: status (pending, running, succeeded, failed, cancelled, missing) and saw of ${execution}`);
    },
  });
}
