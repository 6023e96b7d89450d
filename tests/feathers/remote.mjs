// What the suite sees as an application: a service whose options choose among the names that the conformance server has
// for one collection.

/** An application whose services have the id fields of `ids`, by name. */
export function remote(client, ids) {
  const services = new Map(Object.entries(ids).map(([name, id]) => [name, service(client, name, id)]));
  return { service: (name) => services.get(name) };
}

function service(client, name, id) {
  const options = { id, multi: false, paginate: {} };
  const call = (method) => (...args) => {
    const params = args[{ find: 0, get: 1, create: 1, update: 2, patch: 2, remove: 1 }[method]] ?? {};
    const target = name + suffix(method, { ...options, ...params.adapter, ...own(params) });
    return client.service(target)[method](...args);
  };
  return {
    id,
    options,
    find: call("find"),
    get: call("get"),
    create: call("create"),
    update: call("update"),
    patch: call("patch"),
    remove: call("remove"),
  };
}

/** Pages of another size, for one call. */
function own(params) {
  return "paginate" in params ? { paginate: params.paginate || {} } : {};
}

/** The end of the name under which the server has these options, as far as the method looks at them. */
function suffix(method, { multi, paginate }) {
  if (method === "find") {
    return { "": "", "1,2": "-paginated", "3,": "-page3", "10,100": "-multi-paginated" }[pages(paginate)];
  }
  if (multi === true) {
    return pages(paginate) === "10,100" ? "-multi-paginated" : "-multi";
  }
  return Array.isArray(multi) && multi.includes(method) ? `-multi-${method}` : "";
}

function pages({ default: size, max }) {
  return size === undefined ? "" : `${size},${max ?? ""}`;
}
