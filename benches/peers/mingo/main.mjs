// mingo's side of `cargo xtask bench peers`: the same documents and queries as `benches/src/bin/peers.rs`, one line of
// JSON with microseconds each. mingo queries arrays: it has no inserts and no indexes, so its insert is a deep copy into
// the array, and its find by index looks through all of it.
import { performance } from "node:perf_hooks";
import { Aggregator, Query } from "mingo";

const [documents, rounds] = process.argv.slice(2).map(Number);

const user = (n) => ({
  _id: n.toString(16).padStart(24, "0"),
  name: `User number ${n}`,
  email: `user${n}@example.org`,
  age: n % 90,
  city: `City ${n % 50}`,
  active: n % 2 === 0,
  score: n / 3,
  visits: n * 7,
  joined: new Date(1_600_000_000_000 + n * 1000),
  tags: ["a", `t${n % 10}`],
});

const figures = {};
function measure(name, times, work) {
  const begun = performance.now();
  work();
  (figures[name] ??= []).push(((performance.now() - begun) * 1000) / times);
}
function expect(found, wanted) {
  if (found !== wanted) throw new Error(`${found} documents instead of ${wanted}`);
}

for (let round = 0; round < rounds; round++) {
  const users = [];
  measure("insert", documents, () => {
    for (let n = 0; n < documents; n++) users.push(structuredClone(user(n)));
  });
  measure("find", 20, () => {
    for (let n = 0; n < 20; n++) {
      const query = new Query({ email: `user${(n * 7919) % documents}@example.org` });
      expect(query.find(users).limit(1).all().length, 1);
    }
  });
  const scanned = users.filter((user) => user.age >= 80 && user.visits > 0).length;
  measure("scan", 5, () => {
    for (let n = 0; n < 5; n++) {
      expect(new Query({ age: { $gte: 80 }, visits: { $gt: 0 } }).find(users).all().length, scanned);
    }
  });
  measure("group", 5, () => {
    const groups = new Aggregator([{ $group: { _id: "$city", n: { $sum: 1 } } }]);
    for (let n = 0; n < 5; n++) expect(groups.run(users).length, 50);
  });
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
console.log(JSON.stringify(Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, median(values)]))));
