// Drives Restate: one workflow that interprets every program, served over connections that the worker dials.

import { readFileSync } from "node:fs";
import { createServer } from "node:http2";
import { connect } from "node:net";
import { ask, FailedFinally, ready, seen, serve } from "../common/hydra_driver.mjs";

const modules = `${process.env.INSTALLED}/node_modules`;
const restate = await import(`${modules}/@restatedev/restate-sdk/dist/index.js`);
const { version } = JSON.parse(readFileSync(`${modules}/@restatedev/restate-server/package.json`));
const { ADMIN, INGRESS, DEPLOYMENT } = process.env;

const program = restate.workflow({
  name: "program",
  handlers: {
    run: async (ctx, { program: given, other_input }) => {
      const saw = {};
      const run = (step) => {
        const now = { ...saw };
        const key = ctx.rand.uuidv4(); // the same in every attempt
        const body = async () => {
          try {
            return await ask(given.id, step.id, now, { key, otherInput: other_input });
          } catch (error) {
            throw error instanceof FailedFinally ? new restate.TerminalError(error.message) : error;
          }
        };
        const maxRetryAttempts = step.attempts_max ?? 3;
        return ctx.run(step.id, body, { maxRetryAttempts, initialRetryInterval: 50, maxRetryInterval: 200 });
      };
      for (const item of given.body) {
        if (item.sleep) {
          await ctx.sleep(item.sleep.ms);
        } else {
          const steps = item.step ? [item.step] : item.parallel;
          const values = await restate.RestatePromise.all(steps.map(run));
          for (const [index, step] of steps.entries()) {
            const value = values[index];
            saw[step.id] = seen(value);
            if (step.kind === "transactional") {
              // State is written together with the execution's progress: a row for each step, once.
              ctx.set("rows", [...((await ctx.get("rows")) ?? []), { step: step.id, value }]);
            }
          }
        }
      }
      return saw;
    },
  },
});

async function worker() {
  const server = createServer(restate.createEndpointHandler({ services: [program] }));
  const [host, port] = process.env.HYDRA_STORE.split(":");
  // One connection always waits for Restate; once it is used, the next is dialled.
  const dial = () => {
    const socket = connect({ host, port: Number(port), noDelay: true });
    let used = false;
    socket.once("readable", () => {
      if (socket.readableLength === 0) return;
      used = true;
      server.emit("connection", socket);
      dial();
    });
    socket.on("error", () => {});
    socket.on("close", () => used || setTimeout(dial, 50));
  };
  dial();
  await register();
  ready(version);
}

/** The deployment is registered once, by whoever is up first: its address is the balancer's. */
async function register() {
  for (let tries = 1; ; tries++) {
    const { deployments } = await (await fetch(`${ADMIN}/deployments`)).json();
    if (deployments.length > 0) return;
    const body = JSON.stringify({ uri: DEPLOYMENT });
    const reply = await fetch(`${ADMIN}/deployments`, { method: "POST", headers: { "content-type": "application/json" }, body });
    if (reply.ok) return;
    if (tries === 20) throw new Error(`the deployment is refused: ${await reply.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const find = async (execution) =>
  (await query(`select id, status, completion_result, completion_failure from sys_invocation
    where target_service_name = 'program' and target_service_key = '${execution}'`))[0];

async function query(query) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  const reply = await fetch(`${ADMIN}/query`, { method: "POST", headers, body: JSON.stringify({ query }) });
  if (!reply.ok) throw new Error(await reply.text());
  return (await reply.json()).rows;
}

if (process.argv[2] === "worker") {
  await worker();
} else {
  await serve(version, {
    start: async ({ program: given, execution, other_input = false }) => {
      const body = JSON.stringify({ program: given, other_input });
      const headers = { "content-type": "application/json" };
      const reply = await fetch(`${INGRESS}/program/${execution}/run/send`, { method: "POST", headers, body });
      if (!reply.ok) throw new Error(await reply.text());
    },
    result: async ({ execution }) => {
      if (process.env.HYDRA_NO_DOOR) {
        // A benchmark: nothing but a success is expected, and a query takes longer than a whole execution.
        const output = await fetch(`${INGRESS}/restate/workflow/program/${execution}/output`);
        return output.ok ? { status: "succeeded", saw: await output.json(), committed: [] } : { status: "running" };
      }
      const found = await find(execution);
      if (!found) return { status: "missing" };
      if (found.status !== "completed") return { status: found.status === "running" ? "running" : "pending" };
      const state = await query(`select value_utf8 from state
        where service_name = 'program' and service_key = '${execution}' and key = 'rows'`);
      const committed = state.length > 0 ? JSON.parse(state[0].value_utf8) : [];
      const reason = found.completion_failure ?? "";
      if (found.completion_result !== "success") {
        // A cancelled invocation ends with this error unless its handler catches it.
        return { status: reason.toLowerCase().includes("cancelled") ? "cancelled" : "failed", reason, committed };
      }
      const output = await fetch(`${INGRESS}/restate/workflow/program/${execution}/output`);
      return { status: "succeeded", saw: await output.json(), committed };
    },
    cancel: async ({ execution }) => {
      const { id } = await find(execution);
      const reply = await fetch(`${ADMIN}/invocations/${id}/cancel`, { method: "PATCH" });
      if (!reply.ok) throw new Error(await reply.text());
    },
  });
}
