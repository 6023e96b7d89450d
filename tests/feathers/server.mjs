// Starts the conformance server on a free port, in memory or on the server that FORGE_TEST_MONGODB_URI names, and ends
// it by its process id.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target");
const PROGRAM = path.join(TARGET, "debug", "services-conformance");
const READY_LIMIT_MS = 60_000;

/** Where to test: names, and the URLs of databases. */
export const ENGINES = engines();

function engines() {
  const found = [["memory", "memory:"]];
  if (process.env.FORGE_TEST_MONGODB_URI) {
    const url = new URL(process.env.FORGE_TEST_MONGODB_URI);
    url.pathname = `/feathers_${randomUUID().slice(0, 8)}`;
    found.push(["server", url.href]);
  }
  return found;
}

/** A running server: `url` is where it answers, `stop()` ends it. `environment` is added to that of the tests. */
export async function start(database, environment = {}) {
  if (!existsSync(PROGRAM)) {
    throw new Error(`${PROGRAM} is missing: run \`cargo build -p services-conformance\` first`);
  }
  const port = await freePort();
  const child = spawn(PROGRAM, ["--port", String(port), "--database", database], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const exited = once(child, "exit");
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (log += text));
  }
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + READY_LIMIT_MS;
  while (!(await answers(`${url}/readyz`))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`the conformance server did not start:\n${log}`);
    }
    await sleep(50);
  }
  return {
    url,
    async stop() {
      if (child.exitCode === null) {
        child.kill("SIGTERM");
        await exited;
      }
    },
  };
}

async function answers(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
