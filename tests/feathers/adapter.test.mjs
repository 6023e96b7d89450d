// The unmodified @feathersjs/adapter-tests through @feathersjs/rest-client and @feathersjs/socketio-client, against Forge's
// services.

import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import adapterTests from "@feathersjs/adapter-tests";
import * as errors from "@feathersjs/errors";
import { feathers } from "@feathersjs/feathers";
import rest from "@feathersjs/rest-client";
import socketio from "@feathersjs/socketio-client";
import { io } from "socket.io-client";
import { remote } from "./remote.mjs";
import { ENGINES, start } from "./server.mjs";

/** Cases that are about a JavaScript object on the server, of which a client has none. */
export const LEFT_OUT = {
  ".options": "reads the options object of a service",
  ".events": "reads the events property of a service",
  "._get": "asks whether the object has a method that skips hooks",
  "._find": "asks whether the object has a method that skips hooks",
  "._create": "asks whether the object has a method that skips hooks",
  "._update": "asks whether the object has a method that skips hooks",
  "._patch": "asks whether the object has a method that skips hooks",
  "._remove": "asks whether the object has a method that skips hooks",
};

// The suite takes the functions of its test runner from the global scope, where mocha puts them.
Object.assign(globalThis, { after, afterEach, before, beforeEach, describe, it });

/** Runs every case of the suite that is not left out, whatever cases it has. */
const suite = adapterTests({ includes: (name) => !(name in LEFT_OUT), forEach() {} });

const TRANSPORTS = {
  rest: (url) => [rest(url).fetch(fetch), () => {}],
  "socket.io": (url) => {
    const socket = io(url, { transports: ["websocket"] });
    return [socketio(socket), () => socket.close()];
  },
};

for (const [engine, database] of ENGINES) {
  for (const [name, open] of Object.entries(TRANSPORTS)) {
    describe(`by ${name}, on ${engine}`, () => {
      let server;
      let close;
      const client = feathers();
      before(async () => {
        server = await start(database);
        const [transport, end] = open(server.url);
        close = end;
        client.configure(transport);
      });
      after(() => {
        close();
        return server.stop();
      });
      const app = remote(client, { people: "_id", "people-customid": "customid" });
      suite(app, errors, "people", "_id");
      suite(app, errors, "people-customid", "customid");
    });
  }
}
