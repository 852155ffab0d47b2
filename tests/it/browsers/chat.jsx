// A chat with the agent server's own React hook, at the URL `?api=`, with the key `?key=` if there is one. It sends one
// message as soon as it is shown, and reports to `?report=` what a user and a program would see.
import { createRoot } from "react-dom/client";
import { useEffect, useRef } from "react";
import { Client } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";

const asked = new URLSearchParams(location.search);
const client = new Client({
  apiUrl: asked.get("api"),
  apiKey: asked.get("key"),
  callerOptions: { maxRetries: 0 },
});

const report = (body) => fetch(asked.get("report"), { method: "POST", mode: "no-cors", body: JSON.stringify(body) });

// What else such a page does, once the answer is there.
async function afterwards(run, shown) {
  const history = await client.threads.getHistory(run.thread_id);
  const { status } = await client.runs.get(run.thread_id, run.run_id);
  const created = await client.crons.create("agent", { schedule: "0 9 29 2 *", input: {} });
  const found = await client.crons.search();
  const refused = await client.runs
    .create(null, "agent", { webhook: "nonsense" })
    .then(() => "accepted", (error) => error.message);
  await client.crons.delete(created.cron_id);
  return {
    shown,
    status,
    saved: history[0].values.messages.map((message) => message.content),
    found: found.some((cron) => cron.cron_id === created.cron_id),
    refused,
  };
}

function Chat() {
  const created = useRef(null);
  const room = useRef(null);
  const pieces = useRef(new Set());
  const failed = (error) => report({ error: `${error.name}: ${error.message}` });
  const stream = useStream({
    client,
    assistantId: "speaker",
    onCreated: (run) => (created.current = run),
    onError: failed,
  });
  useEffect(() => void stream.submit({ messages: [{ type: "human", content: "hello" }] }), []);
  const said = stream.messages.map((message) => message.content);
  pieces.current.add(said[1]);
  const isOver = !stream.isLoading && said.length === 2;
  useEffect(() => {
    if (!isOver) return;
    const shown = { text: room.current.innerText, wasStreamed: pieces.current.size > 2, run: created.current };
    afterwards(created.current, shown).then(report, failed);
  }, [isOver]);
  return <p ref={room}>{said.join(" | ")}</p>;
}

createRoot(document.body.appendChild(document.createElement("main"))).render(<Chat />);
