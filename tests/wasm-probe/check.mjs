// Loads the module named on the command line as a browser would, and calls it.

import { readFile } from "node:fs/promises";

const module = await WebAssembly.compile(await readFile(process.argv[2]));
let memory;

/** What the module may ask of JavaScript. The clock and the randomness of ids are injected: none of that is here. */
function answer(name) {
  // Seeds of hash tables.
  if (name.includes("getRandomValues")) {
    return (pointer, length) => void crypto.getRandomValues(new Uint8Array(memory.buffer, pointer, length));
  }
  return () => {
    throw new Error(`the module asks the machine: ${name}`);
  };
}

const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  (imports[from] ??= {})[name] = answer(name);
}
const instance = await WebAssembly.instantiate(module, imports);
memory = instance.exports.memory;
const { handlers, probe } = instance.exports;

for (const [name, found, expected] of [["handlers", handlers(), 1], ["probe", probe(), 2]]) {
  if (found !== expected) throw new Error(`${name}() is ${found}, not ${expected}`);
}
console.log("the module runs: its handler is registered, and the embedded engine finds what it stored");
