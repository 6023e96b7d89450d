// Loads the module named on the command line as a browser would, and calls it.

import { readFile } from "node:fs/promises";

const module = await WebAssembly.compile(await readFile(process.argv[2]));
// What a crate would ask of JavaScript (the clock, random bytes) is injected in Forge: nothing may be asked for here.
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  (imports[from] ??= {})[name] = () => {
    throw new Error(`the module asks the machine: ${from}.${name}`);
  };
}
const { handlers, probe } = (await WebAssembly.instantiate(module, imports)).exports;

for (const [name, found, expected] of [["handlers", handlers(), 1], ["probe", probe(), 2]]) {
  if (found !== expected) throw new Error(`${name}() is ${found}, not ${expected}`);
}
console.log("the module runs: its handler is registered, and the embedded engine finds what it stored");
