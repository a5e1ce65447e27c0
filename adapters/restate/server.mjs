// Restate's server, and the network in front of its workers.
//
// Restate calls its workers; the auditor breaks the connection between a worker and its store. So workers dial in here,
// through the auditor's proxy, and each connection that Restate opens to the deployment is joined to one that a worker
// has dialled: a TCP load balancer whose far half is turned round. Not a byte is looked at.
//
//   node server.mjs RESTATE DATA WORKERS_PORT INGRESS_PORT ADMIN_PORT DEPLOYMENT_PORT

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const [restate, data, workers, ingress, admin, deployment] = process.argv.slice(2);

// In our own process group: whoever kills that kills it too.
const server = spawn(
  restate,
  ["--base-dir", data, "--node-name", "n1", "--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1"],
  {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...process.env,
      // Its nodes talk to each other over a socket in the folder.
      RESTATE_LISTEN_MODE: "unix",
      RESTATE_INGRESS__LISTEN_MODE: "tcp",
      RESTATE_INGRESS__BIND_PORT: ingress,
      RESTATE_ADMIN__LISTEN_MODE: "tcp",
      RESTATE_ADMIN__BIND_PORT: admin,
    },
  },
);
server.on("exit", (code) => process.exit(code ?? 1));

/** Connections that workers have dialled and that wait for Restate, the latest last. */
const idle = [];

const gate = createServer((worker) => {
  worker.setNoDelay(true);
  // HTTP/2 servers speak first, so nothing of what a worker says may be lost meanwhile: it is not read.
  worker.pause();
  idle.push(worker);
  const forget = () => idle.splice(idle.indexOf(worker) >>> 0, 1);
  worker.on("close", forget).on("error", () => {});
});

createServer((caller) => {
  // The worker that dialled last: one that stands still keeps its connections, and a newer one is better.
  const worker = idle.pop();
  caller.on("error", () => {});
  // Nobody is up: refused, as a balancer without a healthy target does.
  if (!worker) return caller.destroy();
  caller.setNoDelay(true);
  caller.on("close", () => worker.destroy());
  worker.on("close", () => caller.destroy());
  caller.pipe(worker).pipe(caller);
}).listen(Number(deployment), "127.0.0.1");

/** Whether Restate answers: its admin interface comes up last. */
async function isUp() {
  const health = async (url) => (await fetch(url)).ok;
  try {
    return (await health(`http://127.0.0.1:${admin}/health`)) && (await health(`http://127.0.0.1:${ingress}/restate/health`));
  } catch {
    return false;
  }
}

while (!(await isUp())) await new Promise((resolve) => setTimeout(resolve, 50));
gate.listen(Number(workers), "127.0.0.1");
