// Lets the clients of AG-UI read streams. Each line of the standard input is JSON: the bodies
// that one client gets, one after the other, for the same run. For each line it prints what the
// clients have in the end, and what they have complained of: a line of JSON.
//
// The older client is the one that CopilotKit brings; without it, its name is missing.
import { createInterface } from "node:readline";
import { existsSync } from "node:fs";
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

const OLDER = new URL("copilotkit/node_modules/@ag-ui/client/dist/index.mjs", import.meta.url);
const USER = { id: "u1", role: "user", content: "Hi" };
const HEADERS = { "content-type": "text/event-stream" };

const complaints = [];
for (const level of ["error", "warn"]) {
  console[level] = (...words) => complaints.push(words.map(String).join(" "));
}
// What a client passes on to nobody.
process.on("unhandledRejection", (error) => complaints.push(String(error)));

const agents = { "ag-ui": await import("@ag-ui/client") };
if (existsSync(OLDER)) agents["ag-ui-0"] = await import(OLDER);

async function readAsAgent({ HttpAgent }, bodies) {
  complaints.length = 0;
  const left = [...bodies];
  const agent = new HttpAgent({
    url: "http://none.invalid/",
    threadId: "t1",
    initialMessages: [USER],
    fetch: async () => new Response(left.shift(), { headers: HEADERS }),
  });
  let error = null;
  let outcome = null;
  for (const _ of bodies) {
    error = outcome = null;
    await agent
      .runAgent(
        { runId: "r1" },
        {
          onRunErrorEvent: ({ event }) => void (error = event.message),
          onRunFinishedEvent: (end) => void (outcome = end.outcome),
        },
      )
      .catch((failure) => void (error = failure.message));
  }
  return { messages: agent.messages, state: agent.state, error, outcome, complaints: [...complaints] };
}

async function readAsTanStack(bodies) {
  complaints.length = 0;
  const left = [...bodies];
  const client = new ChatClient({
    threadId: "t1",
    connection: fetchServerSentEvents("http://none.invalid/", {
      fetchClient: async () => new Response(left.shift(), { headers: HEADERS }),
      reconnect: { delayMs: 0 },
    }),
  });
  await client.sendMessage({ id: "u1", content: "Hi" });
  const error = client.getError()?.message ?? null;
  const made = { messages: client.getMessages(), error, status: client.getStatus() };
  client.dispose();
  return { ...made, complaints: [...complaints] };
}

for await (const line of createInterface({ input: process.stdin })) {
  const bodies = JSON.parse(line);
  const made = {};
  for (const [name, client] of Object.entries(agents)) made[name] = await readAsAgent(client, bodies);
  if (bodies.length === 1) made.tanstack = await readAsTanStack(bodies);
  console.log(JSON.stringify(made));
}
