// Live queries over the WebSocket protocol, version 1: one socket, any number of queries, and a socket that comes back.

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

/** A connection to the server of this page. `onState` is told "connecting", "live" or "offline". */
export class Live {
  #queries = new Map();
  #lastId = 0;
  #socket;
  #timer;
  #retry = FIRST_RETRY_MS;
  #onState;

  constructor(onState) {
    this.#onState = onState;
    addEventListener("online", () => this.#reconnect());
    this.#connect();
  }

  /** Calls `onData` with every result of the query, and `onError` with what is wrong with it. Returns what ends it. */
  subscribe(query, args, onData, onError) {
    const id = ++this.#lastId;
    this.#queries.set(id, { query, args, onData, onError, hash: undefined });
    this.#send(this.#request(id));
    return () => {
      this.#queries.delete(id);
      this.#send({ op: "unsubscribe", id });
    };
  }

  #request(id) {
    const { query, args, hash } = this.#queries.get(id);
    return { op: "subscribe", id, query, args, hash };
  }

  #send(frame) {
    // Before the socket is open there is nothing to say: all subscriptions are sent once it is.
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      for (const id of this.#queries.keys()) this.#send(this.#request(id));
    });
    socket.addEventListener("message", (event) => this.#receive(JSON.parse(event.data)));
    socket.addEventListener("close", () => this.#wait());
  }

  #wait() {
    this.#onState("offline");
    // Spread out, so that many pages do not come back in the same moment.
    const delay = this.#retry * (0.5 + Math.random() / 2);
    this.#retry = Math.min(this.#retry * 2, LAST_RETRY_MS);
    this.#timer = setTimeout(() => this.#reconnect(), delay);
  }

  #reconnect() {
    if (this.#socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.#timer);
    this.#onState("connecting");
    this.#connect();
  }

  #receive(frame) {
    if (frame.op === "ready") {
      this.#retry = FIRST_RETRY_MS;
      this.#onState("live");
    } else if (frame.op === "update") {
      for (const result of frame.results) this.#update(result);
    } else if (frame.op === "error") {
      this.#queries.get(frame.id)?.onError(frame.error);
    }
  }

  #update({ id, hash, data, unchanged }) {
    const query = this.#queries.get(id);
    if (!query) return;
    query.hash = hash;
    if (!unchanged) query.onData(data);
  }
}

/** Calls a handler once; the result, or an Error with the server's message. */
export async function call(kind, name, args, headers = {}) {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(args),
  };
  const answer = await fetch(`/api/${kind}/${name}`, request).catch(() => {
    throw new Error("The server cannot be reached.");
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message);
  return body;
}
