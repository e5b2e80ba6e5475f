// Lets the AI SDK read streams. Each line of the standard input is the JSON of one stream,
// a string. For each it prints what every version makes of it: a line of JSON.
import { createInterface } from "node:readline";
import { makeChat, VERSIONS } from "./ai-sdk-chat.mjs";

const HEADERS = { "content-type": "text/event-stream" };

async function read(version, stream) {
  const data = [];
  const chat = await makeChat(version, {
    id: "c1",
    api: "http://none.invalid/",
    fetch: async () => new Response(stream, { headers: HEADERS }),
    onData: (part) => data.push(part.type),
  });
  await chat.sendMessage({ text: "?" });
  const { id, metadata = null, parts } = chat.lastMessage;
  return { id, metadata, parts, data, status: chat.status, error: chat.error?.message ?? null };
}

for await (const line of createInterface({ input: process.stdin })) {
  const made = {};
  for (const version of VERSIONS) made[version] = await read(version, JSON.parse(line));
  console.log(JSON.stringify(made));
}
