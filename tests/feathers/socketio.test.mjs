// The unmodified @feathersjs/socketio-client against Forge's services: methods, failures and events.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { feathers } from "@feathersjs/feathers";
import socketio from "@feathersjs/socketio-client";
import { io } from "socket.io-client";
import { ENGINES, start } from "./server.mjs";

for (const [engine, database] of ENGINES) {
  for (const transports of [["websocket"], ["polling"]]) {
    describe(`socket.io by ${transports[0]}, on ${engine}`, () => {
      let server;
      let socket;
      const client = feathers();
      before(async () => {
        server = await start(database);
        socket = io(server.url, { transports });
        client.configure(socketio(socket));
        await once(socket, "connect");
      });
      after(() => {
        socket.close();
        return server.stop();
      });

      it("calls every method", async () => {
        const people = client.service("people-multi");
        const ann = await people.create({ name: "Ann", age: 30 });
        assert.deepEqual(await people.get(ann._id), ann);
        assert.equal((await people.patch(ann._id, { age: 31 })).age, 31);
        assert.deepEqual(await people.update(ann._id, { name: "Bob" }), { _id: ann._id, name: "Bob" });
        assert.equal((await people.find({ query: { name: { $in: ["Bob"] } } })).length, 1);
        assert.equal((await people.remove(ann._id)).name, "Bob");
        const many = await people.create([{ name: "b", age: 1 }, { name: "a", age: 1 }, { name: "a", age: 0 }]);
        assert.equal(many.length, 3);
        const sorted = await people.find({ query: { $sort: { name: 1, age: 1 }, $select: ["name", "age"] } });
        assert.deepEqual(sorted.map(({ name, age }) => name + age), ["a0", "a1", "b1"]);
        assert.equal((await people.patch(null, { team: "x" }, { query: { name: "a" } })).length, 2);
        assert.equal((await people.remove(null)).length, 3);
      });

      it("knows numbers from text", async () => {
        const people = client.service("people-raw");
        await people.create({ name: "Ann", age: 25 });
        assert.equal((await people.find({ query: { age: 25 } })).length, 1);
        assert.equal((await people.find({ query: { age: "25" } })).length, 0);
        await people.remove(null);
      });

      it("calls methods of a service's own", async () => {
        const remote = socketio(socket).service("people-custom-method");
        client.use("people-custom-method", remote, { methods: ["find", "get", "create", "echo"] });
        const echoed = await client.service("people-custom-method").echo({ a: 1 }, { query: { b: 2 } });
        assert.deepEqual(echoed, { echo: { a: 1 }, query: { b: 2 } });
      });

      it("fails as Feathers does", async () => {
        const call = (method, ...args) => new Promise((resolve) => socket.emit(method, ...args, resolve));
        const failures = [
          [["get", "people", "0123456789abcdef01234567"], 404, "No record found for id '0123456789abcdef01234567'"],
          [["find", "nothing"], 404, "Service 'nothing' not found"],
          [["echo", "people", {}], 405, "Method 'echo' not supported by this service"],
          [["create", "people-readonly", {}], 405, "Method 'create' not supported by this service"],
          [["find", "people", {}, {}], 400, "Too many arguments for 'find' method"],
          [["remove", "people", null], 405, "Can not remove multiple entries"],
        ];
        for (const [args, code, message] of failures) {
          const error = await call(...args);
          assert.deepEqual([error.code, error.message], [code, message]);
        }
        await assert.rejects(client.service("people").find({ query: { $where: "1" } }), { name: "BadRequest" });
        await assert.rejects(client.service("people").get("x"), { name: "NotFound" });
      });

      it("hears of what happens, each document by itself", async () => {
        const people = client.service("people-multi");
        const events = [];
        for (const name of ["created", "updated", "patched", "removed"]) {
          people.on(name, ({ name: person }) => events.push([name, person]));
        }
        const [{ _id }] = await people.create([{ name: "Ann" }, { name: "Bob" }]);
        await people.patch(_id, { name: "Cat" });
        await people.update(_id, { name: "Dan" });
        await people.remove(null);
        for (const end = Date.now() + 20_000; events.length < 6 && Date.now() < end; ) {
          await sleep(20);
        }
        const heard = events.map(([name, person]) => `${name} ${person}`);
        assert.deepEqual(heard.slice(0, 4), ["created Ann", "created Bob", "patched Cat", "updated Dan"]);
        assert.deepEqual(heard.slice(4).sort(), ["removed Bob", "removed Dan"]);
        people.removeAllListeners("created");
      });

      it("refuses tokens where nobody can be known", async () => {
        const other = io(server.url, { transports, auth: { token: "x" }, reconnection: false, forceNew: true });
        const [error] = await once(other, "connect_error");
        assert.match(error.message, /App::auth/);
        other.close();
      });
    });
  }
}
