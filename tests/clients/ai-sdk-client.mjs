// Chats of the AI SDK that do what they are told. Each line of the standard input is JSON:
// do: what to do; chat: the name of the chat. The answer is a line of JSON: its state.
//
// open    make a chat: version, api, id; messages that it begins with
// send    post text, with body, and wait until that is over
// begin   likewise, but do not wait
// regenerate  ask for another answer in place of the newest, and wait until that is over
// until   wait until status is that, or until the newest message has that text in its JSON
// resume  resume the stream, and wait until that is over
// stop    close the connection, as a button of the page would
// look    do nothing
// With api, that and what follows goes to another server.
import { createInterface } from "node:readline";
import { makeChat } from "./ai-sdk-chat.mjs";

const chats = new Map();

async function open({ version, api, id, messages = [] }) {
  const end = {};
  const chat = await makeChat(version, {
    id,
    api,
    messages,
    onFinish: ({ isAbort, isDisconnect, isError, finishReason = null }) =>
      Object.assign(end, { isAbort, isDisconnect, isError, finishReason }),
  });
  return { chat, end, running: undefined };
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
  const { end } = found;
  console.log(JSON.stringify({ status, error: error?.message ?? null, end, messages }));
}
