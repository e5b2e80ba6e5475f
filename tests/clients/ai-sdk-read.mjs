// Lets the AI SDK read streams. Each line of the standard input is the JSON of one stream,
// a string. For each it prints what every version makes of it: a line of JSON.
//
// requests: how many it has sent, since tools that it takes for its own make it send more;
// tools: the tools that it wants to run; isValid: whether it takes its messages back.
import { createInterface } from "node:readline";
import { makeChat, VERSIONS } from "./ai-sdk-chat.mjs";

const HEADERS = { "content-type": "text/event-stream" };

async function read(version, stream) {
  const data = [];
  const tools = [];
  let requests = 0;
  const sdk = await import(version);
  const chat = await makeChat(version, {
    id: "c1",
    api: "http://none.invalid/",
    fetch: async () => {
      requests += 1;
      return new Response(stream, { headers: HEADERS });
    },
    onData: (part) => data.push(part.type),
    onToolCall: ({ toolCall }) => tools.push(toolCall.toolName),
    sendAutomaticallyWhen: (all) =>
      requests < 3 &&
      (sdk.lastAssistantMessageIsCompleteWithToolCalls(all) ||
        sdk.lastAssistantMessageIsCompleteWithApprovalResponses?.(all)),
  });
  await chat.sendMessage({ text: "?" });
  const { id, metadata = null, parts } = chat.lastMessage;
  const stored = JSON.parse(JSON.stringify(chat.messages));
  const { success: isValid } = await sdk.safeValidateUIMessages({ messages: stored });
  const error = chat.error?.message ?? null;
  return { id, metadata, parts, data, tools, requests, isValid, status: chat.status, error };
}

for await (const line of createInterface({ input: process.stdin })) {
  const made = {};
  for (const version of VERSIONS) made[version] = await read(version, JSON.parse(line));
  console.log(JSON.stringify(made));
}
