// The unmodified @feathersjs/authentication-client against Forge's services, over HTTP and socket.io.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import authentication from "@feathersjs/authentication-client";
import { feathers } from "@feathersjs/feathers";
import rest from "@feathersjs/rest-client";
import socketio from "@feathersjs/socketio-client";
import { io } from "socket.io-client";
import { start } from "./server.mjs";

const SECRET = "a secret of the tests, which is long enough";
const REFUSED = { name: "NotAuthenticated", code: 401 };

/** A JSON Web Token (HS256, RFC 7519) of a subject. */
function token(subject, secret = SECRET) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: subject, exp: Math.floor(Date.now() / 1000) + 600 };
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

for (const transport of ["rest", "socket.io"]) {
  describe(`authentication by ${transport}`, () => {
    let server;
    let socket;
    const client = feathers();
    const subject = async () => (await client.service("whoami").find()).subject;
    const signIn = (accessToken) => client.authenticate({ strategy: "jwt", accessToken });

    before(async () => {
      server = await start("memory:", { FORGE_JWT_SECRET: SECRET });
      if (transport === "rest") {
        client.configure(rest(server.url).fetch(fetch));
      } else {
        socket = io(server.url, { transports: ["websocket"] });
        client.configure(socketio(socket));
        await once(socket, "connect");
      }
      client.configure(authentication());
    });
    after(() => {
      socket?.close();
      return server.stop();
    });

    it("signs in with a token, and out again", async () => {
      assert.equal(await subject(), null);
      const accessToken = token("ann");
      const result = await signIn(accessToken);
      assert.deepEqual(result, { accessToken, authentication: { strategy: "jwt" } });
      assert.equal(await subject(), "ann");
      await signIn(token("bob"));
      assert.equal(await subject(), "bob");
      await client.logout();
      assert.equal(await subject(), null);
    });

    it("refuses tokens that do not hold, other strategies, and what is no token", async () => {
      await assert.rejects(signIn(token("ann", "another secret, which is as long as it is wrong")), REFUSED);
      await assert.rejects(client.authenticate({ strategy: "local", email: "a", password: "b" }), REFUSED);
      await assert.rejects(client.service("authentication").create({ strategy: "jwt" }), REFUSED);
      await assert.rejects(client.service("authentication").create({ strategy: "jwt", accessToken: 7 }), REFUSED);
      await assert.rejects(client.service("authentication").find(), { name: "MethodNotAllowed" });
      assert.equal(await subject(), null);
    });

    it("stays signed in when another token is refused", async () => {
      const accessToken = token("ann");
      await signIn(accessToken);
      await assert.rejects(client.service("authentication").create({ strategy: "jwt", accessToken: "x" }), REFUSED);
      assert.equal(await subject(), "ann");
      await client.logout();
    });

    it("tells nobody of tokens", async () => {
      if (!socket) return;
      const heard = [];
      socket.onAny((event) => heard.push(event));
      await signIn(token("ann"));
      await client.logout();
      await subject();
      assert.deepEqual(heard, []);
    });

    it("signs in again after the connection was lost", async () => {
      if (!socket) return;
      await signIn(token("ann"));
      const again = once(client, "login");
      socket.io.engine.close();
      await again;
      assert.equal(await subject(), "ann");
    });
  });
}
