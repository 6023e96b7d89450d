// The unmodified @feathersjs/adapter-tests through @feathersjs/rest-client, against Forge's services.

import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import adapterTests from "@feathersjs/adapter-tests";
import * as errors from "@feathersjs/errors";
import { feathers } from "@feathersjs/feathers";
import rest from "@feathersjs/rest-client";
import { remote } from "./remote.mjs";
import { ENGINES, start } from "./server.mjs";

/** Cases that are about a JavaScript object on the server, of which a client over HTTP has none. */
export const LEFT_OUT = {
  ".options": "reads the options object of a service",
  ".events": "reads the events property of a service",
  "._get": "calls a method of the object that hooks do not see",
  "._find": "calls a method of the object that hooks do not see",
  "._create": "calls a method of the object that hooks do not see",
  "._update": "calls a method of the object that hooks do not see",
  "._patch": "calls a method of the object that hooks do not see",
  "._remove": "calls a method of the object that hooks do not see",
  "internal .find": "replaces methods of the object and calls another on it",
  "internal .get": "replaces methods of the object and calls another on it",
  "internal .create": "replaces methods of the object and calls another on it",
  "internal .update": "replaces methods of the object and calls another on it",
  "internal .patch": "replaces methods of the object and calls another on it",
  "internal .remove": "replaces methods of the object and calls another on it",
};

// The suite takes the functions of its test runner from the global scope, where mocha puts them.
Object.assign(globalThis, { after, afterEach, before, beforeEach, describe, it });

/** Runs every case of the suite that is not left out, whatever cases it has. */
const suite = adapterTests({ includes: (name) => !(name in LEFT_OUT), forEach() {} });

for (const [engine, database] of ENGINES) {
  describe(`on ${engine}`, () => {
    let server;
    const client = feathers();
    before(async () => {
      server = await start(database);
      client.configure(rest(server.url).fetch(fetch));
    });
    after(() => server.stop());
    suite(remote(client, { people: "_id", "people-customid": "customid" }), errors, "people", "_id");
    suite(remote(client, { people: "_id", "people-customid": "customid" }), errors, "people-customid", "customid");
  });
}
