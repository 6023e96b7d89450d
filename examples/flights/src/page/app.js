// The board: everything that comes from the database goes into the page as text, never as markup.

import { Live, call } from "/live.js";

const find = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en-US");
const dates = new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" });
const STATES = { connecting: "Connecting", live: "Live", offline: "Reconnecting" };

const live = new Live((state) => {
  find("connection").dataset.state = state;
  find("connection-text").textContent = STATES[state];
});

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(where, problem) {
  where.textContent = problem ?? "";
  where.hidden = !problem;
}

/** Marks what has changed, also where it is marked still. */
function flash(node) {
  node.classList.remove("changed");
  void node.offsetWidth;
  node.classList.add("changed");
}

/** Makes the children of `parent` those of `nodes`, in order. Nodes that are in place are left alone. */
function arrange(parent, nodes) {
  for (const node of [...parent.children]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  });
}

// The board.

const board = find("flights");
let rows = new Map();
let stop;

function severity(delay) {
  if (delay >= 180) return "severe";
  return delay >= 60 ? "high" : "mild";
}

function place(code, airport) {
  const cell = element("td", undefined, "place");
  cell.append(element("strong", code), " ", element("span", airport?.city ?? airport?.name ?? "", "city"));
  return cell;
}

function row(flight) {
  const made = element("tr");
  made.dataset.flightId = flight.id;
  const late = element("td", undefined, "number late");
  late.append(element("span"));
  const change = element("td", undefined, "change");
  const button = element("button", "Record");
  button.type = "button";
  button.setAttribute("aria-label", `Record a delay of the flight from ${flight.origin_id} to ${flight.destination_id}`);
  button.addEventListener("click", () => edit(flight.id));
  change.append(button);
  made.append(
    late,
    place(flight.origin_id, flight.origin),
    place(flight.destination_id, flight.destination),
    element("td", dates.format(new Date(flight.date)), "date"),
    element("td", numbers.format(flight.distance), "number miles"),
    change,
  );
  return { made, flight: undefined };
}

function show(flights) {
  const first = board.getAttribute("aria-busy") === "true";
  const next = new Map();
  for (const flight of flights) {
    const entry = rows.get(flight.id) ?? row(flight);
    if (entry.flight?.delay !== flight.delay) {
      const badge = entry.made.querySelector(".late span");
      badge.textContent = `${numbers.format(flight.delay)} min`;
      badge.className = severity(flight.delay);
      if (!first) flash(entry.made);
    }
    entry.flight = flight;
    next.set(flight.id, entry);
  }
  rows = next;
  arrange(board.tBodies[0], [...rows.values()].map((entry) => entry.made));
  board.setAttribute("aria-busy", "false");
  summarize(flights.length);
}

function summarize(count) {
  const where = `out of ${find("state").value}, more than ${find("minutes").value} minutes late`;
  const many = count === 50 ? "The 50 worst flights" : `${count || "No"} ${count === 1 ? "flight" : "flights"}`;
  find("summary").textContent = `${many} ${where}`;
}

function watch() {
  stop?.();
  board.setAttribute("aria-busy", "true");
  const args = { state: find("state").value, minutes: Number(find("minutes").value) };
  stop = live.subscribe(
    "delayed",
    args,
    (flights) => {
      say(find("problem"));
      show(flights);
    },
    (error) => say(find("problem"), error.message),
  );
}

// What to show.

let pending;

find("controls").addEventListener("submit", (event) => event.preventDefault());
find("state").addEventListener("change", watch);
find("minutes").addEventListener("input", () => {
  find("minutes-text").value = find("minutes").value;
  clearTimeout(pending);
  pending = setTimeout(watch, 150);
});

async function start() {
  try {
    const states = await call("query", "states", {});
    find("state").append(...states.map((state) => element("option", state)));
    find("state").value = states.includes("TX") ? "TX" : states[0];
    find("state").disabled = false;
  } catch (error) {
    say(find("problem"), `The states cannot be read: ${error.message}`);
    setTimeout(start, 3_000);
    return;
  }
  watch();
}

// Recording a delay.

const editor = find("editor");
let edited;

function edit(id) {
  const { flight } = rows.get(id);
  // One key for each opening: pressing the button twice records once.
  edited = { id, key: Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("") };
  find("editor-flight").textContent = `${flight.origin_id} to ${flight.destination_id}, ${dates.format(new Date(flight.date))}`;
  find("editor-delay").value = flight.delay;
  say(find("editor-problem"));
  editor.showModal();
  find("editor-delay").select();
}

find("editor-cancel").addEventListener("click", () => editor.close());
find("editor-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("editor-save").disabled = true;
  try {
    const args = { id: edited.id, delay: find("editor-delay").valueAsNumber };
    await call("mutation", "record_delay", args, { "idempotency-key": `${edited.key}-${args.delay}` });
    editor.close();
  } catch (error) {
    say(find("editor-problem"), error.message);
  } finally {
    find("editor-save").disabled = false;
  }
});

// The busiest airports.

const airports = new Map();

function airport({ iata }) {
  const made = element("li");
  const name = element("span", undefined, "name");
  name.append(element("strong", iata), " ", element("span", "", "city"));
  made.append(name, element("span", "", "figures"), element("span", "", "bar"));
  return made;
}

function showBusiest(list) {
  const most = Math.max(1, ...list.map((item) => item.flights));
  const nodes = list.map((item) => {
    const known = airports.get(item.iata);
    const made = known ?? airport(item);
    airports.set(item.iata, made);
    const figures = `${numbers.format(item.flights)} · ${(item.average_delay ?? 0).toFixed(1)} min`;
    if (known && made.querySelector(".figures").textContent !== figures) flash(made);
    made.querySelector(".city").textContent = item.city ?? item.name;
    made.querySelector(".figures").textContent = figures;
    made.querySelector(".bar").style.setProperty("--share", item.flights / most);
    return made;
  });
  arrange(find("busiest"), nodes);
}

live.subscribe("busiest", { limit: 12 }, showBusiest, (error) => say(find("problem"), error.message));
start();
