"use strict";
// Shows the contract that this server serves. What comes out of it is text, never markup.

const verbs = ["get", "post", "put", "patch", "delete"];
const depthMax = 6;
// A longer pattern says nothing to a person; the description does.
const patternCharsMax = 40;
let contract;

function make(name, content, attributes = {}) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const part of [content].flat()) if (part !== undefined && part !== "") element.append(part);
  return element;
}

/** Words with `code` and **weight** in them. */
function prose(words) {
  const parts = [];
  for (const piece of words.split(/(\*\*[^*]+\*\*|`[^`]+`)/)) {
    if (piece.startsWith("`") && piece.length > 2) parts.push(make("code", piece.slice(1, -1)));
    else if (piece.startsWith("**") && piece.length > 4) parts.push(make("strong", prose(piece.slice(2, -2))));
    else if (piece) parts.push(piece);
  }
  return parts;
}

function paragraphs(words) {
  return (words ?? "").split("\n\n").filter(Boolean).map((words) => make("p", prose(words)));
}

function resolved(thing) {
  let found = thing;
  for (let steps = 0; found?.$ref && steps < depthMax; steps += 1) {
    const path = found.$ref.slice(2).split("/");
    found = path.reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], contract);
  }
  return found ?? {};
}

/** What a value can be, in a few words. */
function kind(schema) {
  const of = resolved(schema);
  const either = of.oneOf ?? of.anyOf;
  if (either) return either.map(kind).join(" or ");
  const types = [of.type ?? (of.properties ? "object" : "anything")].flat();
  const bounds = [];
  if (of.enum) bounds.push(of.enum.map((word) => JSON.stringify(word)).join(", "));
  if (of.const !== undefined) bounds.push(JSON.stringify(of.const));
  if (of.format && !String(of.format).startsWith("int")) bounds.push(of.format);
  const id = /^\^([a-z]+_)\[0-9a-f\]\{32\}\$$/.exec(of.pattern ?? "");
  if (id) bounds.push(`${id[1]} and 32 hex digits`);
  else if (of.pattern && of.pattern.length <= patternCharsMax) bounds.push(`form ${of.pattern}`);
  if (of.maxLength !== undefined) {
    bounds.push(of.minLength ? `${of.minLength} to ${of.maxLength} characters` : `at most ${of.maxLength} characters`);
  }
  if (of.maximum !== undefined) bounds.push(`${of.minimum ?? 0} to ${of.maximum}`);
  if (of.maxItems !== undefined) bounds.push(`at most ${of.maxItems}`);
  const word = types.includes("array") ? `${types.join(" or ")} of ${kind(of.items ?? {})}` : types.join(" or ");
  return bounds.length ? `${word}: ${bounds.join("; ")}` : word;
}

/** The fields of an object, and of the objects in it. */
function fields(schema, depth = 0) {
  const of = resolved(schema);
  if (depth > depthMax) return [];
  if (of.type === "array" || of.items) return fields(of.items ?? {}, depth + 1);
  const lists = (of.oneOf ?? of.anyOf ?? of.allOf ?? []).flatMap((one) => fields(one, depth + 1));
  if (!of.properties) return lists;
  const list = make("dl", []);
  for (const [name, property] of Object.entries(of.properties)) {
    const must = of.required?.includes(name) ? make("span", " required", { class: "must" }) : "";
    list.append(make("dt", [make("code", name), must, make("span", ` ${kind(property)}`, { class: "kind" })]));
    const words = paragraphs(property.description ?? resolved(property).description);
    list.append(make("dd", [...words, ...fields(property, depth + 1)]));
  }
  return [list, ...lists];
}

function content(of) {
  const shown = [];
  for (const [type, media] of Object.entries(of.content ?? {})) {
    shown.push(make("p", make("code", type)), ...fields(media.schema ?? {}));
    if (media.example !== undefined) {
      const text = typeof media.example === "string" ? media.example : JSON.stringify(media.example, null, 2);
      shown.push(make("pre", text, { tabindex: "0", role: "group", "aria-label": "Example" }));
    }
  }
  return shown;
}

function parameters(list) {
  if (!list?.length) return [];
  const shown = make("dl", []);
  for (const given of list.map(resolved)) {
    const must = given.required ? make("span", " required", { class: "must" }) : "";
    const words = ` in ${given.in}, ${kind(given.schema ?? {})}`;
    shown.append(make("dt", [make("code", given.name), must, make("span", words, { class: "kind" })]));
    shown.append(make("dd", paragraphs(given.description)));
  }
  return [make("h3", "Parameters"), shown];
}

/** Built when it is opened first: a whole contract is long. */
function inside(operation) {
  const shown = [...paragraphs(operation.description), ...parameters(operation.parameters)];
  if (operation.requestBody) shown.push(make("h3", "Body"), ...content(resolved(operation.requestBody)));
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const of = resolved(answer);
    shown.push(make("h3", `${status} ${of.description ?? ""}`));
    // Refusals are all of one form, which the document describes once.
    if (status.startsWith("2")) shown.push(...content(of));
  }
  return make("div", shown, { class: "inside" });
}

function operationOf(path, verb, operation) {
  const summary = make("summary", [
    make("span", verb.toUpperCase(), { class: `verb ${verb}` }),
    " ",
    make("code", path),
    make("span", operation.summary ?? "", { class: "words" }),
  ]);
  const shown = make("details", summary, { id: operation.operationId });
  shown.dataset.words = `${verb} ${path} ${operation.summary ?? ""} ${operation.operationId}`.toLowerCase();
  shown.addEventListener("toggle", () => {
    if (shown.open && shown.childElementCount === 1) shown.append(inside(operation));
  });
  return shown;
}

function find(words) {
  let count = 0;
  for (const section of document.querySelectorAll("main section")) {
    let any = false;
    for (const operation of section.querySelectorAll("details")) {
      const fits = words.every((word) => operation.dataset.words.includes(word));
      operation.hidden = !fits;
      any ||= fits;
      count += fits ? 1 : 0;
    }
    section.hidden = !any;
  }
  document.getElementById("found").textContent = words.length ? (count === 1 ? "1 operation" : `${count} operations`) : "";
}

function openAddressed() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted instanceof HTMLDetailsElement) {
    wanted.open = true;
    wanted.scrollIntoView();
    wanted.querySelector("summary").focus({ preventScroll: true });
  }
}

function show() {
  document.title = document.getElementById("title").textContent = `${contract.info.title} API`;
  document.getElementById("about").append(...paragraphs(contract.info.description));
  const main = document.getElementById("operations");
  const sections = new Map();
  for (const tag of contract.tags ?? []) {
    const id = `resource-${tag.name}`;
    const heading = make("h2", tag.name, { id });
    const section = make("section", [heading, ...paragraphs(tag.description)], { "aria-labelledby": id });
    sections.set(tag.name, section);
    main.append(section);
    document.getElementById("resources").append(make("li", make("a", tag.name, { href: `#${id}` })));
  }
  for (const [path, item] of Object.entries(contract.paths)) {
    for (const verb of verbs.filter((verb) => item[verb])) {
      sections.get(item[verb].tags?.[0])?.append(operationOf(path, verb, item[verb]));
    }
  }
  const words = document.getElementById("words");
  words.addEventListener("input", () => find(words.value.toLowerCase().split(/\s+/).filter(Boolean)));
  document.getElementById("find").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", openAddressed);
  openAddressed();
}

async function begin() {
  try {
    const answer = await fetch("/v1/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    contract = await answer.json();
    show();
  } catch (error) {
    const words = `The contract could not be read (${error.message}). Load the page again.`;
    document.getElementById("fault").textContent = words;
  }
}

begin();
