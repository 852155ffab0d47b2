// Makes the calls of the JS SDK against one URL and prints what came of each, one JSON object a line.
//
//     calls.mjs URL HOOKS SALT
//
// As calls.py, for the other SDK: its own way to send, to read streams and to fail. What crons and errors look like in
// every detail is asked there.
import { createHash } from "node:crypto";
import { Client } from "@langchain/langgraph-sdk";

const [URL, HOOKS, SALT] = process.argv.slice(2);
const UNKNOWN = "44444444-4444-4444-8444-444444444444";
const SELDOM = "0 9 29 2 *";

const exchanges = [];

// Only watches; the SDK reads the answer itself.
async function watched(url, init) {
  const response = await fetch(url, init);
  const { pathname, search } = new globalThis.URL(url);
  const headers = Object.fromEntries(response.headers);
  exchanges.push({ request: `${init?.method ?? "GET"} ${pathname}${search}`, status: response.status, headers });
  return response;
}

const client = new Client({ apiUrl: URL, apiKey: null, callerOptions: { fetch: watched, maxRetries: 0 } });

function say(line) {
  console.log(JSON.stringify(line));
}

// Awaits a promise, or collects a stream, and prints its outcome. What failed answers unknown ids.
async function call(name, asked) {
  exchanges.length = 0;
  let result, outcome;
  try {
    result = asked[Symbol.asyncIterator] ? await collected(asked) : await asked;
    outcome = { result: result ?? null };
  } catch (error) {
    outcome = { error: { type: error.name, text: error.message, status: error.status ?? null } };
  }
  say({ call: name, exchanges, ...outcome });
  return result ?? new Proxy({}, { get: () => UNKNOWN });
}

async function collected(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function threadOf(name) {
  const hex = createHash("sha256").update(`${SALT} ${name}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const says = (text) => ({ messages: [{ role: "user", content: text }] });

// A webhook that must be sent once.
function tells(name) {
  say({ tells: `/${name}` });
  return `${HOOKS}/${name}`;
}

async function until(condition) {
  for (let look = 0; look < 600; look++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("waited in vain");
}

const hasStatus = async (thread, run, status) => (await client.runs.get(thread, run)).status === status;

async function gone(thread) {
  try {
    await client.threads.get(thread);
    return false;
  } catch (error) {
    return error.status === 404;
  }
}

async function assistants() {
  const assistantId = threadOf("assistant");
  const metadata = { salt: SALT };
  const api = client.assistants;
  const made = { graphId: "agent", assistantId, metadata, name: "first" };
  await call("create an assistant", api.create(made));
  await call("create an assistant again", api.create(made));
  await call("get an assistant", api.get(assistantId));
  await call("update an assistant", api.update(assistantId, { graphId: "agent", name: "second" }));
  await call("its versions", api.getVersions(assistantId));
  await call("set its latest version", api.setLatest(assistantId, 1));
  await call("search assistants", api.search({ metadata, includePagination: true }));
  await call("count assistants", api.count({ metadata }));
  await call("graph", api.getGraph(assistantId));
  await call("schemas", api.getSchemas(assistantId));
  await call("subgraphs", api.getSubgraphs(assistantId));
  await call("delete an assistant", api.delete(assistantId));
  await call("get a deleted assistant", api.get(assistantId));
}

async function threads() {
  const threadId = threadOf("thread");
  const metadata = { salt: SALT };
  const api = client.threads;
  await call("create a thread", api.create({ threadId, metadata, graphId: "agent" }));
  await call("create a thread again", api.create({ threadId }));
  await call("get a thread", api.get(threadId));
  await call("update a thread", api.update(threadId, { metadata: { more: "ü" } }));
  await call("write state", api.updateState(threadId, { values: says("written"), asNode: "echo" }));
  const state = await call("get state", api.getState(threadId));
  await call("get state of a checkpoint", api.getState(threadId, state.checkpoint));
  await call("history", api.getHistory(threadId));
  const copy = await call("copy a thread", api.copy(threadId));
  await call("get state of the copy", api.getState(copy.thread_id));
  await call("delete the copy", api.delete(copy.thread_id));
  await call("search threads", api.search({ metadata }));
  await call("count threads", api.count({ metadata }));
  await call("delete a thread", api.delete(threadId));
  await call("get a deleted thread", api.get(threadId));
  await call("get a thread by no id", api.get("not-an-id"));
}

async function runs() {
  const thread = threadOf("runs");
  const api = client.runs;
  const hi = { input: says("hi") };
  await client.threads.create({ threadId: thread });
  const run = await call("create a run", api.create(thread, "agent", hi));
  await call("join", api.join(thread, run.run_id));
  await call("get a run", api.get(thread, run.run_id));
  await call("wait", api.wait(thread, "agent", hi));
  await call("list runs", api.list(thread, { limit: 1 }));
  await call("state after runs", client.threads.getState(thread));
  for (const streamMode of ["values", "messages", "events", "updates", ["values", "messages-tuple"]])
    await call(`stream ${streamMode}`, api.stream(thread, "speaker", { ...hi, streamMode }));
  await call("stream stateless", api.stream(null, "speaker", { ...hi, streamMode: "values" }));
  await call("stream an error", api.stream(thread, "agent", { input: says("boom") }));
  await call("wait for an error", api.wait(thread, "agent", { input: says("boom") }));
  await call("ask", api.wait(thread, "asker", hi));
  await call("answer", api.wait(thread, "asker", { command: { resume: "yes" } }));
  await call("create a stateless run", api.create(null, "agent", hi));
  await call("create a batch", api.createBatch([{ assistantId: "agent", assistant_id: "agent", ...hi }]));
  await call("wait on an unknown thread", api.wait(UNKNOWN, "agent", hi));
  await call("wait of an unknown assistant", api.wait(thread, "nope", hi));
  await call("stream on an unknown thread", api.stream(UNKNOWN, "agent", hi));

  const slow = await api.create(thread, "agent", { input: says("sleep 30"), streamResumable: true });
  await until(() => hasStatus(thread, slow.run_id, "running"));
  await call("reject a run", api.create(thread, "agent", { ...hi, multitaskStrategy: "reject" }));
  const joined = collected(api.joinStream(thread, slow.run_id, { lastEventId: "-1", streamMode: "values" }));
  await call("cancel", api.cancel(thread, slow.run_id, true));
  await call("the stream that was joined meanwhile", joined);
  await call("get a cancelled run", api.get(thread, slow.run_id));
  await call("delete a run", api.delete(thread, slow.run_id));
}

// The runs that tell a webhook, and what a client sees of them meanwhile.
async function webhooks() {
  const thread = threadOf("webhooks");
  const api = client.runs;
  const streamMode = ["values", "messages", "events"];
  const created = [];
  const asked = (name, text = "hi") => {
    const onRunCreated = (run) => created.push(run);
    return { input: says(text), metadata: { team: "ops" }, webhook: tells(name), onRunCreated };
  };
  await client.threads.create({ threadId: thread });
  let run = await call("create a run with a webhook", api.create(thread, "agent", asked("create-on-thread")));
  await call("join a run with a webhook", api.join(thread, run.run_id));
  await call("get a run with a webhook", api.get(thread, run.run_id));
  await call("wait with a webhook", api.wait(thread, "agent", asked("wait-on-thread")));
  const streamed = { ...asked("stream-on-thread"), streamMode };
  await call("stream with a webhook", api.stream(thread, "speaker", streamed));
  await call("state after runs with a webhook", client.threads.getState(thread));

  run = await call("create stateless with a webhook", api.create(null, "agent", asked("create-stateless")));
  await until(() => gone(run.thread_id));
  await call("the thread of a stateless run", client.threads.get(run.thread_id));
  await call("wait stateless with a webhook", api.wait(null, "agent", asked("wait-stateless")));
  const stateless = { ...asked("stream-stateless"), streamMode };
  await call("stream stateless with a webhook", api.stream(null, "speaker", stateless));
  const kept = { ...asked("keep-stateless"), onCompletion: "keep" };
  await call("wait stateless with a webhook, keeping", api.wait(null, "agent", kept));
  await call("wait for an error with a webhook", api.wait(thread, "agent", asked("error", "boom")));
  const refused = { input: says("hi"), webhook: "ftp://127.0.0.1/hook" };
  await call("create with a webhook of another scheme", api.create(thread, "agent", refused));
  await call("wait with a webhook of another scheme", api.wait(null, "agent", refused));
  await call("stream with a webhook of another scheme", api.stream(thread, "agent", refused));
  say({ call: "what was said to have been created", result: created });
}

// Two crons that fire once while this script runs.
async function firingCrons() {
  const at = new Date(Date.now() + 10000);
  const [minute, hour, day, month] = [at.getUTCMinutes(), at.getUTCHours(), at.getUTCDate(), at.getUTCMonth() + 1];
  const schedule = `${minute} ${hour} ${day} ${month} * ${at.getUTCSeconds()}`;
  say({ name: "<soon>", text: schedule });
  const thread = threadOf("cron");
  await client.threads.create({ threadId: thread });
  const asked = { schedule, input: says("hi"), metadata: { team: "ops" } };
  await call("create a cron that fires", client.crons.create("agent", { ...asked, webhook: tells("cron") }));
  const made = client.crons.createForThread(thread, "agent", { ...asked, webhook: tells("cron-on-thread") });
  await call("create a cron for a thread that fires", made);
  return thread;
}

async function firedCron(thread) {
  await until(async () => {
    const runs = await client.runs.list(thread);
    return runs.length === 1 && runs[0].status === "success";
  });
  await call("the run of a cron for a thread", client.runs.list(thread));
  await call("the state after a cron for a thread", client.threads.getState(thread));
}

async function crons() {
  const thread = threadOf("crons");
  const api = client.crons;
  const metadata = { salt: SALT };
  await client.threads.create({ threadId: thread });
  const { assistant_id: assistantId } = await client.assistants.create({ graphId: "agent", metadata });
  const asked = { schedule: SELDOM, input: says("hi"), metadata };
  const more = { config: { tags: ["t"] }, context: { y: 2 }, interruptBefore: ["echo"], multitaskStrategy: "reject" };
  const every = { ...more, enabled: false, onRunCompleted: "keep", durability: "exit", webhook: `${HOOKS}/never` };
  const cron = await call("create a cron", api.create(assistantId, asked));
  await call("create a cron with everything", api.create(assistantId, { ...asked, ...every }));
  await call("create a cron for a thread", api.createForThread(thread, assistantId, asked));
  await call("search crons", api.search({ assistantId, sortBy: "created_at", sortOrder: "asc" }));
  await call("search crons of a thread", api.search({ threadId: thread, select: ["cron_id", "schedule"] }));
  await call("count crons", api.count({ assistantId }));
  await call("update a cron", api.update(cron.cron_id, { schedule: "0 8 29 2 *", enabled: false }));
  await call("update nothing", api.update(cron.cron_id, {}));
  await call("update the end", api.update(cron.cron_id, { endTime: "2100-01-01T00:00:00Z" }));
  await call("update the end away", api.update(cron.cron_id, { endTime: null }));
  await call("create a cron with a bad schedule", api.create(assistantId, { ...asked, schedule: "bad" }));
  await call("create a cron of an unknown assistant", api.create("nope", asked));
  await call("create a cron for an unknown thread", api.createForThread(UNKNOWN, assistantId, asked));
  const refused = { ...asked, webhook: "ftp://127.0.0.1/hook" };
  await call("create a cron with a webhook of another scheme", api.create(assistantId, refused));
  await call("delete a cron", api.delete(cron.cron_id));
  await call("delete a cron again", api.delete(cron.cron_id));
  await call("search crons after all", api.search({ assistantId }));
}

async function store() {
  const space = ["sdk", SALT];
  const api = client.store;
  await call("put an item", api.putItem(space, "a", { n: 1 }));
  await call("get an item", api.getItem(space, "a"));
  await call("search items", api.searchItems(space, { filter: { n: 1 } }));
  await call("list namespaces", api.listNamespaces({ prefix: space }));
  await call("delete an item", api.deleteItem(space, "a"));
  await call("get a deleted item", api.getItem(space, "a"));
}

say({ name: "<url>", text: URL });
say({ name: "<hooks>", text: HOOKS });
const thread = await firingCrons();
for (const part of [assistants, threads, runs, webhooks, store]) await part();
// From here on the server may fire no cron: an end that it takes by PATCH stops its scheduler for all (0.16.7).
await firedCron(thread);
await crons();
