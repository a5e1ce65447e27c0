// What every JavaScript driver shares: the door, the first line, the client's JSON lines. See adapters/README.md.

import { createInterface } from "node:readline";

/** The auditor told the body to fail; a retry may mend it. */
export class Failed extends Error {}

/** The auditor told the body to fail in a way that no retry can mend. */
export class FailedFinally extends Failed {}

/** Asks the auditor what this body does, and does it: answers a value, or throws. */
export async function ask(execution, step, saw, { attempt, key, otherInput = false } = {}) {
  if (process.env.HYDRA_NO_DOOR) return `${execution}-${step}`; // a benchmark: bodies that do nothing
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
export const seen = (value) => ({ value });

/** The first line of a worker and of a client. */
export const ready = (version) => console.log(JSON.stringify({ ready: true, version }));

/** The client side: answers `start`, `status`, `result` and `cancel` until its input ends. */
export async function serve(version, operations) {
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
