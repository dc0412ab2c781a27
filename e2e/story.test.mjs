// The whole story: visitors in the demo shop, agents in the console, one server, nothing faked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { newPerson, picture, startBrowser } from "./rig/browser.mjs";
import { Agent, Visitor } from "./rig/people.mjs";
import { Server } from "./rig/server.mjs";

let server, browser, ada, grace, ann, ben;

before(async () => {
  server = await Server.fresh();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("an agent signs in, sets her site up and says that she is there", async () => {
  ada = await Agent.signIn(await newPerson(browser), server);
  const { items } = await ada.asks("GET", "/v1/sites");
  await ada.asks("PATCH", `/v1/sites/${items[0].site_id}`, { form: { name: "required", email: "optional" } });
  await ada.beAvailable(1);
  await picture(ada.page, "01-console-available");
});

test("a page with the widget stores nothing and opens no socket before the visitor acts", async () => {
  const person = await newPerson(browser);
  const page = await person.context.newPage();
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(server.addresses.demo);
  await page.getByRole("button", { name: /^Open the chat/ }).waitFor();
  assert.deepEqual(sockets, []);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(await person.context.cookies(), []);
  await person.context.close();
});

test("a visitor opens the widget, fills the form in and sends her first words", async () => {
  ann = await Visitor.arrive(await newPerson(browser), server);
  await ann.openWidget();
  await picture(ann.page, "02-widget-form");
  await ann.begin({ name: "Ann Archer", email: "ann@example.test", text: "Does the blue bike fit a child of six?" });
  await ann.isTold("You are being connected to an agent");
  await picture(ann.page, "03-widget-offered");
});

test("the conversation is offered to the agent, who accepts it", async () => {
  await ada.isOffered("Ann Archer");
  await picture(ada.page, "04-console-offer");
  await ada.accept("Ann Archer");
  await ada.sees("Does the blue bike fit a child of six?");
  await ann.panel.getByText("joined the conversation").first().waitFor();
});

test("the next visitor is told his place in the queue", async () => {
  ben = await Visitor.arrive(await newPerson(browser), server);
  await ben.openWidget();
  await ben.begin({ name: "Ben Baker", email: "ben@example.test", text: "Where is my order?" });
  await ben.isTold("You are next in line.");
  await picture(ben.page, "05-widget-queue");
});

test("each sees the other typing", async () => {
  await ada.type("Yes, from 110 cm.");
  await ann.seesTyping();
  await picture(ann.page, "06-widget-agent-is-typing");
  await ada.send();
  await ann.sees("Yes, from 110 cm.");
  await ann.type("Great, can I reserve it?");
  await ada.seesTyping("Ann Archer");
  await picture(ada.page, "07-console-visitor-is-typing");
});

test("each sees that the other has seen", async () => {
  await ann.send();
  await ada.sees("Great, can I reserve it?");
  await ann.seesMark("Great, can I reserve it?", "Seen");
  await ada.seesMark("Yes, from 110 cm.", "Seen");
  await picture(ann.page, "08-widget-seen");
});

test("an internal note never reaches the visitor", async () => {
  await ada.note("She asked twice about the colour.");
  await ada.say("It is reserved for you.");
  await ann.sees("It is reserved for you.");
  assert.equal(await ann.page.getByText("asked twice").count(), 0);
  await picture(ada.page, "09-console-note");
});

test("a colleague joins by invitation and takes the one who waits", async () => {
  grace = await ada.invites(await newPerson(browser), "Grace Green", "grace@example.test");
  await grace.beAvailable(2);
  await grace.accept("Ben Baker");
  await grace.say("It left yesterday.");
  await ben.sees("It left yesterday.");
});

test("a conversation is handed over, closed and opened again", async () => {
  await ada.transferTo("Grace Green");
  await grace.isOffered("Ann Archer");
  await picture(grace.page, "10-console-transfer-offered");
  await grace.accept("Ann Archer");
  await grace.say("Grace here, I have your reservation.");
  await ann.sees("Grace here, I have your reservation.");
  await grace.close();
  await ann.isTold("This conversation has ended.");
  await picture(ann.page, "11-widget-closed");
  await grace.reopen();
  await grace.say("One more thing: bring a helmet.");
  await ann.sees("One more thing: bring a helmet.");
  await picture(grace.page, "12-console-reopened");
});

test("both ends show the same words in the same order", async () => {
  const notes = ["She asked twice about the colour."];
  const hers = (await grace.transcript()).filter((text) => !notes.includes(text));
  assert.deepEqual(hers, await ann.transcript());
  assert.equal(hers.length, 6);
});

test("no page threw anything, and no word is in the server's log", () => {
  for (const person of [ada, grace, ann, ben]) assert.deepEqual(person.faults, []);
  for (const word of ["Archer", "ann@example.test", "reserved", "twice", "helmet"]) {
    assert.ok(!server.log.includes(word), `the log holds ${word}`);
  }
});
