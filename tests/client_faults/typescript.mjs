// Asks the TypeScript client. The argument is the module of the client. Each line of the standard
// input is JSON: a list of questions (`Question` in row.py), which are asked at the same time; for
// each line it prints the list of the outcomes.
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const { Client } = await import(process.argv[2]);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");

const LONGEST = 60_000; // milliseconds that a question may take
const MOST = 16; // questions at the same time

// In place of `setTimeout`, in the client alone. What it waits for before it reconnects takes no
// time here; only the watch over a silent peer does, whose times no delay has.
const stalls = new Set([45_000]);
globalThis.impatient = (call, milliseconds) => setTimeout(call, stalls.has(milliseconds) ? milliseconds : 0);

const KINDS = { 401: "Unauthorized", 403: "Forbidden", 404: "UnknownExecution", 410: "Gone" };
const STARTS = { ...KINDS, 404: "UnknownActor", 409: "ThreadBusy" };
const ANSWERS = { ...KINDS, 409: "AlreadyAnswered", 410: "QuestionClosed" };
const ENDS = { failed: "ExecutionFailed", cancelled: "ExecutionCancelled", lost: "ExecutionLost" };

/** The name that the error has in Python. */
function kindOf(error, verb) {
  if (error.name === "ExecutionFailed") return ENDS[error.status] ?? error.name;
  if (verb === "answer" && error.status === 404 && error.problem.n) return "UnknownQuestion";
  if (error.name === "AnswerRefused") return ANSWERS[error.status] ?? error.name;
  if (error.name !== "RequestFailed") return error.name;
  if (error.status === 422) return error.problem.errors ? "InvalidInput" : "IdempotencyConflict";
  return (verb === "start" ? STARTS : KINDS)[error.status] ?? error.name;
}

/** What the heap has in use. */
function inUse() {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** The number of events, and how much the heap has grown from a quarter of them to the last. */
async function measure(run, total) {
  let [events, first, last] = [0, 0, 0];
  for await (const _ of run.events()) {
    events += 1;
    if (events === Math.floor(total / 4)) first = inUse();
    else if (events === total) last = inUse();
  }
  return { events, bytes: last - first };
}

async function ask({ verb, base, execution, after, count, leave, waiting, stall, give_up, auth, announce }) {
  const outcome = { seen: [], status: null, failure: null, waits: [], value: null };
  const options = {};
  if (stall) stalls.add((options.stallTimeout = Math.round(stall * 1000)));
  if (give_up) options.giveUpAfter = give_up * 1000;
  let tokens = 0;
  if (auth) options.auth = async () => ({ authorization: `Bearer ${(tokens += 1)}` });
  const onConnection = (_, reconnect) => {
    if (!reconnect) return;
    outcome.waits.push(reconnect.delay / 1000);
    if (announce && outcome.waits.length === 2) connect(announce, "127.0.0.1").on("error", () => {}).end();
  };
  const follow = async (run) => {
    const leaving = new AbortController();
    const stream = run.events({ after, onConnection, signal: leaving.signal });
    for await (const event of stream) {
      const isReset = event?.event_type === "reset";
      outcome.seen.push(isReset ? ["reset", event.reason, event.first] : ["event", stream.number, event]);
      if (outcome.seen.length !== leave) continue;
      if (!waiting) break;
      setTimeout(() => leaving.abort(), 10);
    }
    outcome.status = stream.status;
  };
  try {
    const client = new Client(base, options);
    if (verb === "start") {
      const run = await client.start("research", { topic: "tea" });
      await follow(run);
      outcome.value = await run.result();
    } else {
      const run = client.run(execution);
      if (verb === "follow") await follow(run);
      else if (verb === "count") outcome.value = await measure(run, count);
      else if (verb === "result") outcome.value = await run.result();
      else if (verb === "cancel") await run.cancel();
      else if (verb === "answer") await run.answer(1, true); // which does not say whether it was the first
      else outcome.value = (await run.about()).status;
    }
  } catch (error) {
    outcome.failure = [kindOf(error, verb), String(error.message)];
  }
  return outcome;
}

function bounded(question) {
  let timer;
  const late = new Promise((resolve) => {
    if (question.count) return; // which may take as long as it takes
    timer = setTimeout(() => resolve({ seen: [], status: null, failure: ["Hang", ""], waits: [], value: null }), LONGEST);
  });
  return Promise.race([ask(question), late]).finally(() => clearTimeout(timer));
}

async function all(questions) {
  const outcomes = [];
  const left = questions.entries();
  const work = async () => {
    for (const [index, question] of left) outcomes[index] = await bounded(question);
  };
  await Promise.all(Array.from({ length: MOST }, work));
  return outcomes;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await all(JSON.parse(line))));
}
process.exit(0);
