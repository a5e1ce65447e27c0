// Drives openworkflow on PostgreSQL: one workflow that interprets every program.

import { readFileSync } from "node:fs";
import { ask, ready, seen, serve } from "../common/hydra_driver.mjs";

const modules = `${process.env.INSTALLED}/node_modules`;
const { OpenWorkflow } = await import(`${modules}/openworkflow/dist/index.js`);
const { BackendPostgres } = await import(`${modules}/openworkflow/dist/postgres.js`);
const { default: postgres } = await import(`${modules}/postgres/src/index.js`);
const { version } = JSON.parse(readFileSync(`${modules}/openworkflow/package.json`));

const backend = await BackendPostgres.connect(process.env.HYDRA_STORE);

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

if (process.argv[2] === "worker") {
  const worker = ow.newWorker({ concurrency: 4 });
  await worker.start();
  ready(version);
} else {
  const sql = postgres(process.env.HYDRA_STORE, { max: 1, onnotice: () => {} });
  // By input: the oldest version keeps no idempotency key.
  const find = async (execution) => {
    const rows = await sql`
      select id, status, output, error from openworkflow.workflow_runs
      where input->'program'->>'id' = ${execution} order by created_at limit 1`;
    return rows[0];
  };
  await serve(version, {
    start: async ({ program: given, execution, other_input = false }) => {
      await program.run({ program: given, other_input }, { idempotencyKey: execution });
    },
    result: async ({ execution }) => {
      const run = await find(execution);
      if (!run) return { status: "missing" };
      const words = { completed: "succeeded", sleeping: "running", canceled: "cancelled" };
      const status = words[run.status] ?? run.status;
      // Completions of a step: a second one was written by a worker that had lost the execution.
      const [{ rows }] = await sql`
        select coalesce(max(n), 0)::int as rows from (
          select count(*) as n from openworkflow.step_attempts
          where workflow_run_id = ${run.id} and status in ('completed', 'succeeded') group by step_name) as counted`;
      // What an ended run consists of: nobody who lost it may add to it, or change it.
      const [{ stamp }] = await sql`
        select concat(r.finished_at, ', ', count(a), ' step attempts, the last written ', max(a.updated_at)) as stamp
        from openworkflow.workflow_runs r left join openworkflow.step_attempts a on a.workflow_run_id = r.id
        where r.id = ${run.id} group by r.id, r.finished_at`;
      const saw = (status === "succeeded" && run.output) || {};
      return { status, stamp, saw, reason: JSON.stringify(run.error), rows };
    },
    cancel: async ({ execution }) => {
      await backend.cancelWorkflowRun({ workflowRunId: (await find(execution)).id });
    },
  });
}
