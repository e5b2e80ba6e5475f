// Chats of the AI SDK that do what they are told. Each line of the standard input is JSON:
// do: what to do; chat: the name of the chat. The answer is a line of JSON: its state.
//
// open    make a chat: version, api, id; messages that it begins with
// send    post text, with body, and wait until that is over
// begin   likewise, but do not wait
// regenerate  ask for another answer in place of the newest, and wait until that is over
// until   wait until status is that, or until the newest message has that text in its JSON
// resume  resume the stream, and wait until that is over
// approve answer the question n, with approved and reason, and wait until all is sent that
//         is sent by itself
// output  likewise, with output; without one decline
// repeat  post again what was posted last, and wait until that is over
// stop    close the connection, as a button of the page would
// look    do nothing
// With api, that and what follows goes to another server.
import { createInterface } from "node:readline";
import { makeChat } from "./ai-sdk-chat.mjs";

const chats = new Map();

async function open({ version, api, id, messages = [] }) {
  const end = {};
  const asks = [];
  const sdk = await import(version);
  const chat = await makeChat(version, {
    id,
    api,
    messages,
    fetch: async (url, init) => {
      const posted = init.method === "POST" && JSON.parse(init.body);
      if (posted) asks.push(posted.messages.at(-1).role);
      return fetch(url, init);
    },
    // A message that is answered again and again would be sent for ever.
    sendAutomaticallyWhen: (all) =>
      asks.length < 9 &&
      (sdk.lastAssistantMessageIsCompleteWithToolCalls(all) ||
        sdk.lastAssistantMessageIsCompleteWithApprovalResponses?.(all)),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason = null }) =>
      Object.assign(end, { isAbort, isDisconnect, isError, finishReason }),
  });
  return { chat, end, asks, running: undefined };
}

const question = ({ chat }, n) =>
  chat.messages
    .flatMap((message) => message.parts)
    .findLast(({ toolName, input }) => toolName === "ask" && input.n === n).toolCallId;

// What is sent by itself is not waited for by the call that sends it.
async function settled({ chat }) {
  do await new Promise((resolve) => setTimeout(resolve, 10));
  while (["submitted", "streaming"].includes(chat.status));
}

async function until({ chat }, { status, text }) {
  const holds = () =>
    status ? chat.status === status : JSON.stringify(chat.lastMessage ?? null).includes(text);
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const deeds = {
  begin: async (open, { text, body }) => {
    open.running = open.chat.sendMessage({ text }, { body });
  },
  send: async ({ chat }, { text, body }) => chat.sendMessage({ text }, { body }),
  regenerate: async ({ chat }) => chat.regenerate(),
  until,
  wait: async (open) => open.running,
  resume: async ({ chat }) => chat.resumeStream(),
  "begin-resume": async (open) => {
    open.running = open.chat.resumeStream();
  },
  approve: async (open, { n, ...response }) => {
    await open.chat.addToolApprovalResponse({ id: question(open, n), ...response });
    await settled(open);
  },
  output: async (open, { n, output }) => {
    const given = output === undefined ? { state: "output-error", errorText: "No" } : { output };
    await open.chat.addToolOutput({ tool: "ask", toolCallId: question(open, n), ...given });
    await settled(open);
  },
  repeat: async ({ chat }) => chat.sendMessage(),
  stop: async ({ chat }) => chat.stop(),
  look: async () => {},
};

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (told.do === "open") chats.set(told.chat, await open(told));
  const found = chats.get(told.chat);
  if (told.api) found.chat.transport.api = told.api;
  if (told.do !== "open") await deeds[told.do](found, told);
  const { status, error, messages } = found.chat;
  const { end, asks } = found;
  console.log(JSON.stringify({ status, error: error?.message ?? null, end, asks, messages }));
}
