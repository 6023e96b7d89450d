// Starts an example of this repository as a person would, on a free port, and ends it by its process id.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target");

/** Where screenshots go. */
export const ARTIFACTS = path.join(TARGET, "browser");

const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 10_000;

/** A running program: `url` is where it answers, `log()` what it printed, `stop()` ends it. */
export async function start(name) {
  const program = path.join(TARGET, "debug", name);
  if (!existsSync(program)) {
    throw new Error(`${program} is missing: run \`cargo build -p ${name}\` first`);
  }
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "forge-browser-"));
  const child = spawn(program, [], { cwd: folder, env: environment(port), stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit").catch((error) => [error]);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (log += text));
  }
  const app = {
    url: `http://127.0.0.1:${port}`,
    log: () => log,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        const forced = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
        await exited;
        clearTimeout(forced);
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await ready(app, child);
  } catch (error) {
    await app.stop();
    throw error;
  }
  return app;
}

/** The caller's own database must not be touched: the program gets one in memory. */
function environment(port) {
  const { MONGODB_URI, MONGO_URI, ...rest } = process.env;
  return { ...rest, FORGE_DATABASE_URL: "memory:", FORGE_HOST: "127.0.0.1", FORGE_PORT: String(port) };
}

async function ready(app, child) {
  const deadline = Date.now() + READY_LIMIT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the program ended (${child.exitCode ?? child.signalCode}):\n${app.log()}`);
    }
    const answer = await fetch(`${app.url}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(50);
  }
  throw new Error(`not ready within ${READY_LIMIT_MS} ms:\n${app.log()}`);
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Posts `args` to the handler; the parsed answer, or an error with what the server said. */
export async function post(app, kind, name, args) {
  const answer = await fetch(`${app.url}/api/${kind}/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(args),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${kind} ${name}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
