// Clients of AG-UI that a test drives: each line of the standard input is a command, and for
// each one a line of JSON is printed. Commands name their client.
//
//   open    make a client: kind "agent" (HttpAgent) or "tanstack" (ChatClient), url, thread
//   run     send a text, or nothing to run again; run: the runId of an agent
//   answer  answer what it has asked: payloads, of which null cancels; run: the runId of an agent
//   attach  as TanStack AI does when a page is loaded; an agent connects
//   move    let further requests go to another url
//   seen    wait until the messages have a text
//   end     wait for the end
//   leave   end the connection of the client only
//
// The line is what the client has then; null if what it should wait for does not come.
import { createInterface } from "node:readline";
import { HttpAgent } from "@ag-ui/client";
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

for (const level of ["error", "warn"]) console[level] = () => {};
process.on("unhandledRejection", () => {}); // of HttpAgent, when its connection breaks

const clients = new Map();
const until = async (happened) => {
  for (let n = 0; !happened() && n < 4000; n += 1) await new Promise((done) => setTimeout(done, 5));
  return happened();
};

// As docs/front-ends.md shows it.
class ResumableAgent extends HttpAgent {
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect`, headers: this.headers }).run(input);
  }
}

class Agent {
  constructor({ url, thread }) {
    this.agent = new ResumableAgent({ url, threadId: thread });
    this.count = 0;
    this.reset();
  }
  reset() {
    this.error = this.code = this.outcome = null;
    this.ended = false;
  }
  begin(start) {
    this.reset();
    const told = {
      onRunStartedEvent: ({ event }) => void (this.run = event.runId),
      onRunErrorEvent: ({ event }) => void ({ message: this.error, code: this.code } = event),
      onRunFinishedEvent: (end) => {
        this.outcome = end.outcome;
        this.resume = undefined;
      },
    };
    start(told)
      .catch((failure) => void (this.error = failure.message))
      .then(() => void (this.ended = true));
  }
  send({ run, text }) {
    if (text) this.agent.addMessage({ id: `u${(this.count += 1)}`, role: "user", content: text });
    this.begin((told) => this.agent.runAgent({ runId: run }, told));
  }
  answer({ run, payloads }) {
    this.resume ??= resumed(this.agent.pendingInterrupts, payloads); // the same one again after a cut
    this.begin((told) => this.agent.runAgent({ runId: run, resume: this.resume }, told));
  }
  attach() {
    this.begin((told) => this.agent.connectAgent({}, told));
  }
  move({ url }) {
    this.agent.url = url;
  }
  leave() {
    this.agent.abortRun();
  }
  get told() {
    const { run, error, code, outcome } = this;
    const { messages, state, pendingInterrupts: interrupts } = this.agent;
    return { run, error, code, outcome, interrupts, messages, state };
  }
}

class TanStack {
  constructor({ url, thread }) {
    this.requests = 0;
    this.custom = 0;
    this.run = null;
    this.move({ url });
    const fetchClient = (target, init) => {
      this.requests += 1;
      this.run = init.headers["X-Run-Id"] ?? this.run;
      return fetch(target.replace(url, this.url), init);
    };
    this.client = new ChatClient({
      threadId: thread,
      persistence: true,
      connection: fetchServerSentEvents(url, { fetchClient, reconnect: { delayMs: 10, maxAttempts: 50 } }),
      onCustomEvent: () => void (this.custom += 1),
    });
  }
  move({ url }) {
    this.url = url;
  }
  send({ text }) {
    this.sending = true;
    this.client
      .sendMessage(text)
      .catch(() => {})
      .then(() => void (this.sending = false));
  }
  answer({ payloads }) {
    this.sending = true;
    this.client
      .resumeInterruptsUnsafe(resumed(this.asked, payloads))
      .catch(() => {})
      .then(() => void (this.sending = false));
  }
  attach() {
    this.attached = true; // whether anything runs is known when messages have come
    this.client.attach();
  }
  leave() {
    this.client.detach();
  }
  get asked() {
    return this.client.interruptManager.getDescriptors();
  }
  get ended() {
    const found = !this.attached || this.client.getMessages().length > 1;
    return found && !this.sending && !this.client.getIsLoading();
  }
  get told() {
    const messages = this.client.getMessages().map(({ createdAt, ...message }) => message);
    const [status, error] = [this.client.getStatus(), this.client.getError()?.message ?? null];
    const { run, requests, custom, asked: interrupts } = this;
    return { run, requests, custom, status, error, interrupts, messages };
  }
}

const resumed = (interrupts, payloads) =>
  interrupts.map(({ id: interruptId }, n) => {
    const payload = payloads[n];
    return payload === null ? { interruptId, status: "cancelled" } : { interruptId, status: "resolved", payload };
  });

async function obey({ do: command, name, ...given }) {
  if (command === "open") {
    clients.set(name, given.kind === "agent" ? new Agent(given) : new TanStack(given));
  }
  const client = clients.get(name);
  if (command === "seen") {
    if (!(await until(() => JSON.stringify(client.told.messages).includes(given.text)))) return null;
  } else if (command === "end") {
    if (!(await until(() => client.ended))) return null;
  } else if (command !== "open") {
    client[command === "run" ? "send" : command](given);
  }
  return client.told;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await obey(JSON.parse(line))));
}
process.exit(0);
