// Drives openworkflow on PostgreSQL or SQLite: one workflow that interprets every program.

import { readFileSync } from "node:fs";
import { ask, ready, seen, serve } from "../common/hydra_driver.mjs";
import { lookPostgres, lookSqlite, openPostgres, openSqlite } from "./stores.mjs";

const modules = `${process.env.INSTALLED}/node_modules`;
const { OpenWorkflow } = await import(`${modules}/openworkflow/dist/index.js`);
const { version } = JSON.parse(readFileSync(`${modules}/openworkflow/package.json`));

const store = process.env.HYDRA_STORE;
const isPostgres = store.includes("://");
const isWorker = process.argv[2] === "worker";
const backend = await (isPostgres ? openPostgres(modules, store) : openSqlite(modules, store, isWorker));

// The lease is 30 s, hard-coded in the worker: a shorter one is handed to the backend.
const leaseDurationMs = Number(process.env.LEASE_MS);
for (const name of ["claimWorkflowRun", "extendWorkflowRunLease"]) {
  const original = backend[name].bind(backend);
  backend[name] = (params) => original({ ...params, leaseDurationMs });
}

// Its heartbeat is half of those 30 s, hard-coded too.
const { setInterval } = globalThis;
globalThis.setInterval = (beat, ms, ...rest) => setInterval(beat, ms === 15_000 ? leaseDurationMs / 2 : ms, ...rest);

const ow = new OpenWorkflow({ backend });
const program = ow.defineWorkflow({ name: "program" }, async ({ input, step }) => {
  const saw = {};
  const run = async (one) => {
    const body = () => ask(input.program.id, one.id, { ...saw }, { otherInput: input.other_input });
    const retryPolicy = { initialInterval: "50ms", maximumInterval: "200ms", maximumAttempts: one.attempts_max ?? 3 };
    return [one.id, seen(await step.run({ name: one.id, retryPolicy }, body))];
  };
  for (const item of input.program.body) {
    if (item.sleep) {
      await step.sleep(item.sleep.id, `${item.sleep.ms}ms`);
    } else {
      const steps = item.step ? [item.step] : item.parallel;
      for (const [id, value] of await Promise.all(steps.map(run))) saw[id] = value;
    }
  }
  return saw;
});

/** SQLite is given no time to wait for another writer: what was refused for that alone is asked again, as a caller would. */
async function patiently(ask) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 50 || !`${error}${error.cause ?? ""}`.includes("database is locked")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

if (isWorker) {
  const worker = ow.newWorker({ concurrency: Number(process.env.HYDRA_CONCURRENCY ?? 4) });
  await worker.start();
  ready(version);
} else {
  const { find, completions, content } = await (isPostgres ? lookPostgres(modules, store) : lookSqlite(store));
  await serve(version, {
    start: async ({ program: given, execution, other_input = false }) => {
      await patiently(() => program.run({ program: given, other_input }, { idempotencyKey: execution }));
    },
    result: async ({ execution }) => {
      const run = await find(execution);
      if (!run) return { status: "missing" };
      const words = { completed: "succeeded", sleeping: "running", canceled: "cancelled" };
      const status = words[run.status] ?? run.status;
      // Completions of a step: a second one was written by a worker that had lost the execution.
      const rows = Math.max(0, ...(await completions(run.id)));
      // What an ended run consists of: nobody who lost it may add to it, or change it.
      const stamp = await content(run.id);
      const saw = (status === "succeeded" && run.output) || {};
      return { status, stamp, saw, reason: JSON.stringify(run.error), rows };
    },
    cancel: async ({ execution }) => {
      const run = await find(execution);
      await patiently(() => backend.cancelWorkflowRun({ workflowRunId: run.id }));
    },
  });
}
