// Feathers with the same service: `node main.mjs URI DATABASE`. Says where it listens, then what it used, for each line.

import { createInterface } from "node:readline";
import { feathers } from "@feathersjs/feathers";
import { bodyParser, errorHandler, koa, rest } from "@feathersjs/koa";
import { MongoDBService } from "@feathersjs/mongodb";
import { MongoClient } from "mongodb";

const [uri, database] = process.argv.slice(2);
const client = await MongoClient.connect(uri);
const people = client.db(database).collection("people");
const app = koa(feathers());
app.use(errorHandler());
app.use(bodyParser());
app.configure(rest());
app.use("people", new MongoDBService({ Model: people, paginate: { default: 10, max: 50 }, multi: true }));
const server = await app.listen(0, "127.0.0.1");
if (!server.listening) {
  await new Promise((resolve) => server.once("listening", resolve));
}
console.log(JSON.stringify(`127.0.0.1:${server.address().port}`));
for await (const _line of createInterface({ input: process.stdin })) {
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ cpu: (user + system) * 1_000, resident: process.memoryUsage.rss(), reads: 0 }));
}
process.exit(0);
