import { HttpAgent } from "@ag-ui/client";
import "../../ai_sdk/src/style.css";
import { mark, show } from "./view.js";

// HttpAgent can run an agent, but not connect to a run that goes on. The server can: it
// tells the newest run of the thread from its start, whether it goes on or has ended.
class ResumableAgent extends HttpAgent {
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect` }).run(input);
  }
}

// The thread's id is in the address, so a second tab shows the same chat.
const threadId = location.hash.slice(1) || undefined;
const agent = new ResumableAgent({ url: "/api/ag-ui", threadId });
history.replaceState(null, "", `#${agent.threadId}`);
onhashchange = () => location.reload();

const tabs = new BroadcastChannel(agent.threadId); // tells the other tabs of a new run
tabs.onmessage = () => agent.isRunning || load();
let isNew = false; // whether this tab has started the run

const ids = ["log", "welcome", "note", "failure", "form", "question", "send", "stop"];
const elements = ids.map((id) => document.getElementById(id));
const [log, welcome, note, failure, form, question, send, stop] = elements;

agent.subscribe({
  onMessagesChanged: ({ messages }) => show(messages),
  onSubagentStartedEvent: ({ event }) => mark(event.subagentRunId, "running"),
  onSubagentFinishedEvent: ({ event }) => mark(event.subagentRunId, "done"),
  onSubagentErrorEvent: ({ event }) => mark(event.subagentRunId, event.code),
  onRunStartedEvent({ event }) {
    stop.onclick = () => end(event.runId);
    note.textContent = "";
    if (isNew) tabs.postMessage("started");
    isNew = false;
  },
  onRunFinishedEvent({ outcome }) {
    if (outcome === "cancelled") note.textContent = "Stopped";
  },
  onRunErrorEvent: ({ event }) => fail(event.message),
});

const load = () => follow(() => agent.connectAgent());

function ask(text) {
  const last = agent.messages.findLastIndex(({ role }) => role === "user");
  const id = `${agent.threadId}-${Date.now()}`;
  if (text) agent.addMessage({ id, role: "user", content: text });
  else agent.setMessages(agent.messages.slice(0, last + 1)); // without what has failed
  note.textContent = "";
  isNew = true;
  follow(() => agent.runAgent({ runId: id }));
}

// fetch throws a TypeError where the network fails. The same request again starts no
// second run: it attaches to the one that goes on at the server.
async function follow(run) {
  showBusy(true);
  try {
    await run();
  } catch (error) {
    if (error instanceof TypeError) {
      note.textContent = "The connection is lost. Connecting again…";
      setTimeout(follow, 1000, run);
    } else {
      fail(error.status ? `The server answers ${error.status}.` : error.message);
    }
  }
  showBusy(false);
}

// abortRun() only closes the connection. This ends the run, and all tabs see that.
const end = (runId) =>
  fetch(`${agent.url}/${encodeURIComponent(runId)}/stop`, { method: "POST" });

function showBusy(is) {
  log.ariaBusy = is;
  stop.hidden = !is;
  send.hidden = is;
  if (is) failure.hidden = true;
  welcome.hidden = is || agent.messages.length > 0;
}

function fail(text) {
  failure.hidden = false;
  failure.firstElementChild.textContent = text;
}

form.onsubmit = (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || agent.isRunning) return;
  question.value = "";
  ask(text);
};

question.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
};

welcome.onclick = ({ target }) => {
  if (target.localName === "button") ask(target.textContent);
};

failure.lastElementChild.onclick = () => ask();

if (threadId) load();
else showBusy(false);
