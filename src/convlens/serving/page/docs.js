// Shows /openapi.json as a page: one section an operation, with its parameters, bodies and answers.

export {}; // a module: it waits for its answer

const make = (tag, ...children) => {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
};
const code = (text) => make("code", text);

function table(headings, rows) {
  const head = make("tr", ...headings.map((heading) => make("th", heading)));
  return make("table", make("thead", head), make("tbody", ...rows.map((row) => make("tr", ...row.map((cell) => make("td", cell))))));
}

// A schema as one would write an example of it.
function example(schema = {}) {
  if (schema.anyOf) return schema.anyOf.map(example).join("\nor\n");
  if (schema.type === "object" && schema.properties) {
    const fields = Object.entries(schema.properties).map(([name, value]) => `"${name}": ${example(value)}`);
    return `{${fields.join(", ")}}`;
  }
  if (schema.type === "array") return `[${example(schema.items)}, …]`;
  return `<${schema.format ?? schema.type ?? "anything"}>`;
}

function bodies(content = {}) {
  return Object.entries(content).filter(([, { schema }]) => schema && Object.keys(schema).length)
    .map(([type, { schema }]) => make("div", make("p", code(type)), make("pre", example(schema))));
}

function section(method, path, operation) {
  const parts = [make("h2", code(`${method.toUpperCase()} ${path}`)), make("p", operation.description ?? operation.summary ?? "")];
  if (operation.parameters?.length) {
    parts.push(table(["Parameter", "Meaning"], operation.parameters.map(
      ({ name, description = "" }) => [code(name), description])));
  }
  if (operation.requestBody) parts.push(make("h3", "Send"), ...bodies(operation.requestBody.content));
  parts.push(make("h3", "Answers"), table(["Code", "Meaning"], Object.entries(operation.responses)
    .filter(([status]) => status !== "422").map(([status, { description }]) => [code(status), description])));
  parts.push(...bodies(operation.responses["200"]?.content));
  return make("section", ...parts);
}

const api = await (await fetch("/openapi.json")).json();
document.getElementById("curl").textContent =
  `curl -F file=@cat.jpg ${location.origin}/predict\ncurl -F file=@cat.jpg -F file=@dog.png '${location.origin}/predict?top=1'`;
for (const [path, operations] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    document.getElementById("operations").append(section(method, path, operation));
  }
}
