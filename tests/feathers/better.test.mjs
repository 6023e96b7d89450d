// What Forge's services do where Feathers' have defects, on every engine.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ENGINES, start } from "./server.mjs";

for (const [engine, database] of ENGINES) {
  describe(`better than Feathers, on ${engine}`, () => {
    let server;
    before(async () => {
      server = await start(database);
    });
    after(() => server.stop());

    /** The status and the JSON body of an answer. */
    async function send(method, path, body, headers = {}) {
      const json = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
      const answer = await fetch(server.url + path, {
        method,
        body: json,
        headers: { ...(json === undefined ? {} : { "content-type": "application/json" }), ...headers },
      });
      const text = await answer.text();
      return { status: answer.status, body: text === "" ? undefined : JSON.parse(text) };
    }

    it("takes lists of more than 20 values in a query", async () => {
      const { body: people } = await send("POST", "/people-multi", Array.from({ length: 30 }, (_, n) => ({ name: `n${n}`, age: n })));
      const list = people.slice(0, 25).map(({ _id }, n) => `_id[$in][${n}]=${_id}`).join("&");
      const found = await send("GET", `/people-multi?${list}`);
      assert.equal(found.status, 200);
      assert.equal(found.body.length, 25);
      assert.equal((await send("DELETE", "/people-multi?age[$gte]=0")).body.length, 30);
    });

    it("creates documents whose _id is given as text or as a number", async () => {
      for (const id of ["0123456789abcdef01234567", "plain", 7]) {
        const created = await send("POST", "/people-raw", { _id: id, name: "Ann" });
        assert.deepEqual(created, { status: 201, body: { _id: id, name: "Ann" } });
      }
      assert.equal((await send("GET", "/people-raw/0123456789abcdef01234567")).status, 200);
      assert.equal((await send("GET", "/people-raw/plain")).status, 200);
      assert.equal((await send("DELETE", "/people-raw")).body.length, 3);
    });

    it("answers bad bodies with 400, and large ones with 413", async () => {
      for (const body of ["{bad", "3", '"text"', "null"]) {
        const answer = await send("POST", "/people", body);
        assert.deepEqual([answer.status, answer.body.name], [400, "BadRequest"], body);
      }
      const large = await send("POST", "/people", { text: "x".repeat(2 ** 21) });
      assert.equal(large.status, 413);
    });

    it("refuses lists as the data of a patch", async () => {
      const { body } = await send("POST", "/people", { name: "Ann" });
      assert.equal((await send("PATCH", `/people/${body._id}`, [{ name: "Bob" }])).status, 400);
      assert.equal((await send("PUT", `/people/${body._id}`, [{ name: "Bob" }])).status, 400);
      assert.deepEqual((await send("DELETE", `/people/${body._id}`)).body, body);
    });

    it("decodes ids in paths", async () => {
      const id = "a b/c";
      await send("POST", "/people-customid", { customid: id, name: "Ann" });
      const found = await send("GET", `/people-customid/${encodeURIComponent(id)}`);
      assert.equal(found.body.name, "Ann");
      assert.equal((await send("DELETE", `/people-customid/${encodeURIComponent(id)}`)).status, 200);
    });

    it("answers a duplicate with 409 and the fields", async () => {
      await send("POST", "/people-raw", { email: "a@b.c" });
      const again = await send("POST", "/people-raw", { email: "a@b.c" });
      assert.deepEqual([again.status, again.body.name, again.body.data], [409, "Conflict", { fields: ["email"] }]);
      assert.equal((await send("POST", "/people-raw", {})).status, 201, "documents without it do not count");
      await send("DELETE", "/people-raw");
    });

    it("refuses what is no query or no document with 400, never with 500", async () => {
      const wrong = [
        ["GET", "/people-raw?$limit=abc"],
        ["GET", "/people-raw?$skip=-1"],
        ["GET", "/people-raw?$sort[name]=up"],
        ["GET", "/people-raw-ops?name[$regex]=("],
        ["POST", "/people-raw", { $set: { a: 1 } }],
        ["POST", "/people-raw", { "a.b": 1 }],
        ["PATCH", "/people-raw/x", { $inc: { a: "text" } }],
        ["PATCH", "/people-raw/x", { $where: "1" }],
        ["GET", "/people-raw?$sort[a..b]=1"],
        ["GET", "/people?$sort[name.]=1"],
        ["GET", "/people-raw?$select[]=a.$b"],
        ["GET", "/people-raw?home.$where=1"],
        ["PATCH", "/people-raw/x", { "a..b": 1 }],
        ["PATCH", "/people-raw/x", { "a.$b": 1 }],
        ["PATCH", "/people-raw/x", { $unset: { "a.": "" } }],
        ["PATCH", "/people-raw/x", { a: { "b\0": 1 } }],
        ["POST", "/people-raw", { "b\0": 1 }],
        ["POST", "/people-raw", { _id: [1] }],
        ["PATCH", "/people-raw/x", { $bit: { n: { and: 1.5 } } }],
      ];
      await send("POST", "/people-raw", { _id: "x", name: "Ann" });
      for (const [method, path, body] of [...wrong, ["PUT", "/people-raw/x", { $set: { a: 1 } }]]) {
        const answer = await send(method, path, body);
        assert.deepEqual([answer.status, answer.body.className], [400, "bad-request"], `${method} ${path}`);
      }
      assert.deepEqual((await send("DELETE", "/people-raw")).body, [{ _id: "x", name: "Ann" }]);
    });

    it("refuses bodies that are neither JSON nor a form", async () => {
      const answer = await send("POST", "/people-raw", "some text", { "content-type": "text/plain" });
      assert.deepEqual([answer.status, answer.body.name], [400, "BadRequest"]);
      assert.deepEqual((await send("GET", "/people-raw")).body, []);
    });

    it("creates lists of any length, and answers in their order", async () => {
      assert.deepEqual(await send("POST", "/people-raw", []), { status: 201, body: [] });
      const ids = ["z", "a", "m"].map((_id) => ({ _id }));
      assert.deepEqual((await send("POST", "/people-raw", ids)).body, ids);
      await send("DELETE", "/people-raw");
    });

    it("sorts by several fields in the order of the query", async () => {
      const data = [["a", 2], ["b", 1], ["a", 1]].map(([name, age]) => ({ name, age }));
      await send("POST", "/people-multi", data);
      const order = async (query) => (await send("GET", `/people?${query}`)).body.map(({ name, age }) => name + age);
      assert.deepEqual(await order("$sort[name]=1&$sort[age]=1"), ["a1", "a2", "b1"]);
      assert.deepEqual(await order("$sort[age]=1&$sort[name]=1"), ["a1", "b1", "a2"]);
      await send("DELETE", "/people-multi");
    });

    it("reads whole documents through stages, in pages with the right total", async () => {
      await send("POST", "/people-pipeline", [10, 20, 30, 40].map((age) => ({ age })));
      const page = await send("GET", "/people-pipeline?$sort[age]=-1");
      assert.deepEqual([page.body.total, page.body.limit], [3, 2]);
      assert.deepEqual(page.body.data.map(({ age, aggregation }) => [age, aggregation]), [[40, true], [30, true]]);
      const patched = await send("PATCH", `/people-pipeline/${page.body.data[0]._id}`, { age: 50 });
      assert.equal(patched.body.age, 50, "a write changes the document");
      await send("DELETE", "/people-pipeline");
    });

    it("compares text as a collation says, in writes too", async () => {
      await send("POST", "/people-collation", [{ name: "ANN" }, { name: "ann" }, { name: "Bob" }]);
      assert.equal((await send("GET", "/people-collation?name=Ann")).body.length, 2);
      assert.equal((await send("PATCH", "/people-collation?name=Ann", { age: 1 })).body.length, 2);
      assert.equal((await send("DELETE", "/people-collation?name=aNN")).body.length, 2);
      await send("DELETE", "/people-collation");
    });

    it("makes what it upserts, with the id of the path", async () => {
      const id = "0123456789abcdef01234567";
      assert.deepEqual(await send("PATCH", `/people-upsert/${id}`, { name: "Ann" }), {
        status: 200,
        body: { _id: id, name: "Ann" },
      });
      assert.equal((await send("PUT", `/people-upsert/${id}`, { name: "Bob" })).body.name, "Bob");
      assert.equal((await send("GET", "/people-upsert")).body.length, 1);
      await send("DELETE", "/people-upsert");
    });

    it("makes what it upserts by operators and dotted keys", async () => {
      const id = "0123456789abcdef01234567";
      const patch = { $inc: { age: 2 }, $push: { friends: "Bob" }, "home.city": "Rome", $setOnInsert: { created: true } };
      const made = { _id: id, age: 2, friends: ["Bob"], home: { city: "Rome" }, created: true };
      assert.deepEqual(await send("PATCH", `/people-upsert/${id}`, patch), { status: 200, body: made });
      assert.equal((await send("PATCH", `/people-upsert/${id}`, patch)).body.age, 4);
      assert.equal((await send("GET", "/people-upsert")).body.length, 1);
      await send("DELETE", "/people-upsert");
    });

    it("names the field at fault", async () => {
      const wrong = [
        ["POST", "/people-validated", { age: 3 }, "name"],
        ["POST", "/people-validated", { name: "Ann", age: "3" }, "age"],
        ["POST", "/people-validated", { name: "Ann", other: 1 }, "other"],
        ["GET", "/people?age[$lt]=x", undefined, "age"],
        ["GET", "/people?$or[0][nothing]=x", undefined, "nothing"],
        ["GET", "/people-raw?name[$where]=x", undefined, "name"],
      ];
      for (const [method, path, body, field] of wrong) {
        const answer = await send(method, path, body);
        assert.deepEqual([answer.status, Object.keys(answer.body.errors)], [400, [field]], path);
      }
    });

    it("checks data by the rules of a model", async () => {
      const wrong = await send("POST", "/people-validated", { name: "", age: 3 });
      assert.deepEqual([wrong.status, wrong.body.message], [400, "validation failed"]);
      assert.equal((await send("POST", "/people-validated", { name: "Ann", other: 1 })).status, 400);
      assert.equal((await send("POST", "/people-validated", { name: "Ann", age: "3" })).status, 400);
      const { body } = await send("POST", "/people-validated", { name: "Ann", age: 3 });
      assert.equal((await send("PATCH", `/people-validated/${body._id}`, { age: 4 })).body.age, 4);
      assert.equal((await send("GET", "/people-validated?age[$gt]=3.5")).body.length, 1);
      assert.equal((await send("PATCH", `/people-validated/${body._id}`, { name: "" })).status, 400);
      await send("DELETE", "/people-validated");
    });

    it("offers the listed methods and no others", async () => {
      assert.equal((await send("POST", "/people-readonly", {})).status, 405);
      const echo = { "x-service-method": "echo" };
      const done = await send("POST", "/people-custom-method?a=1", { b: 2 }, echo);
      assert.deepEqual(done, { status: 200, body: { echo: { b: 2 }, query: { a: "1" } } });
      assert.equal((await send("POST", "/people", {}, echo)).status, 405);
      assert.equal((await send("POST", "/people-custom-method", {}, { "x-service-method": "find" })).status, 405);
      assert.equal((await send("OPTIONS", "/people")).status, 405);
    });
  });
}
