/*
 * Three parts: the state adds events up, the view draws the state, the feed brings the events in.
 * The state depends on nothing but the events, so a reload, a second tab and a replay after a
 * reset all end with the same picture.
 */

// ---------------------------------------------------------------------------------------- state

const OPEN = new Set(["pending", "started", "retrying"]);
const TEXTS = ["reasoning_delta", "text_delta"];
const OUTCOMES = { complete: "completed", error: "failed", cancelled: "cancelled", lost: "lost" };

function emptyState() {
  return {
    nodes: new Map(),
    changedNodes: new Set(),
    texts: new Map(),
    lines: [],
    progress: null,
    outcome: null,
    count: 0,
    position: 0,
  };
}

/** Add one event to the state. Unknown types only count, so a newer server breaks nothing. */
function apply(state, position, event) {
  // Resuming makes repeats impossible; this keeps it so even behind a proxy which replays.
  if (position <= state.position) return;
  state.position = position;
  state.count += 1;

  switch (event.event_type) {
    case "agent_call":
    case "tool_call":
    case "llm_call":
      applyCall(state, event);
      break;
    case "reasoning_delta":
    case "text_delta": {
      const key = `${event.event_type} ${event.address}`;
      state.texts.set(key, (state.texts.get(key) ?? "") + event.delta);
      break;
    }
    case "custom":
    case "log":
      state.lines.push(event);
      break;
    case "progress":
      state.progress = event;
      break;
    case "complete":
    case "error":
    case "cancelled":
    case "lost":
      settle(state, { ...event, status: OUTCOMES[event.event_type] });
      break;
  }
}

function applyCall(state, event) {
  const node = nodeAt(state, event.address);
  node.name = event.actor ?? node.name;
  node.kind = event.event_type.replace("_call", "");
  node.status = event.execution_status;
  node.detail = event.detail ?? node.detail;
  node.message = event.message ?? "";
  node.seconds = event.execution_time;
  node.attempt = event.attempt;
  node.delay = event.delay;
  node.usage = event.usage;
  node.input = event.input ?? node.input;
  node.output = event.output;
  state.changedNodes.add(node);

  // A call that is tried again writes its text from the beginning.
  if (OPEN.has(node.status)) {
    for (const type of TEXTS) {
      const key = `${type} ${node.address}`;
      if (state.texts.has(key)) state.texts.set(key, "");
    }
  }
}

/** The node at the address; made, with its ancestors, when a replay begins after their events. */
function nodeAt(state, address) {
  const known = state.nodes.get(address);
  if (known) return known;

  const slash = address.lastIndexOf("/");
  const parent = slash < 0 ? null : nodeAt(state, address.slice(0, slash));
  const [name, ordinal] = address.slice(slash + 1).split("#");
  const node = { address, parent, name, ordinal, order: state.nodes.size, status: "pending", kind: "", detail: "", message: "" };
  state.nodes.set(address, node);
  state.changedNodes.add(node);
  return node;
}

/** Nothing follows the outcome: calls still open will never report again. */
function settle(state, outcome) {
  state.outcome = outcome;
  for (const node of state.nodes.values()) {
    if (!OPEN.has(node.status)) continue;
    node.status = "unfinished";
    state.changedNodes.add(node);
  }
}

// ----------------------------------------------------------------------------------------- view

const FINISHED_SHOWN = 5;
const LANGUAGES_SHOWN = 4;
const LOG_LINES_SHOWN = 1000;

const CONNECTION_TEXTS = {
  idle: "Idle",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Connection lost, reconnecting…",
  ended: "Ended",
  forgotten: "Forgotten by the server",
};

const STATUS_TEXTS = { pending: "not seen yet", started: "running", retrying: "tried again", recovered: "from the cache" };

const OUTCOME_TEXTS = {
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  lost: "Lost",
  forgotten: "The server no longer holds this execution",
};

const numbers = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });

const byId = (id) => document.getElementById(id);
const page = {
  form: byId("start-form"),
  pattern: byId("pattern"),
  seconds: byId("seconds"),
  start: byId("start"),
  cancel: byId("cancel"),
  fresh: byId("new"),
  problem: byId("problem"),
  connection: byId("connection"),
  outcome: byId("outcome"),
  progress: byId("progress"),
  tree: byId("tree"),
  report: byId("report"),
  log: byId("log"),
};

let drawn = emptyDrawing();

/** Which elements stand for which part of the state, and how far the log is drawn. */
function emptyDrawing() {
  return { nodes: new Map(), groups: new Map(), texts: new Map(), lines: 0, outcome: null };
}

function clearView() {
  drawn = emptyDrawing();
  for (const element of [page.tree, page.report, page.log]) element.replaceChildren();
}

function draw({ id, state, connection, cancelling }) {
  const running = isRunning();

  document.body.classList.toggle("running", running);
  byId("welcome").hidden = id !== "";
  byId("workspace").hidden = id === "";
  byId("execution-id").textContent = id.slice(0, 8);
  byId("second-viewer").hidden = connection === "forgotten";
  byId("second-viewer").href = `#${id}`;
  page.start.setAttribute("aria-disabled", String(running));
  page.cancel.setAttribute("aria-disabled", String(cancelling));
  page.cancel.textContent = cancelling ? "Cancelling…" : "Cancel";
  if (!running && document.activeElement === page.cancel) page.fresh.focus();
  page.cancel.hidden = !running;

  byId("count").textContent = state.count;
  byId("last-id").textContent = state.position ? `, last #${state.position}` : "";

  drawOutcome(state, running);
  drawProgress(state, running);
  state.changedNodes.forEach(drawNode);
  state.changedNodes.clear();
  drawTexts(state.texts);
  drawLog(state.lines);
  drawConnection(connection, state.outcome);

  // What is over and has nothing in it will never have anything.
  byId("tree-card").hidden = !running && state.nodes.size === 0;
  byId("report-card").hidden = !running && state.texts.size === 0;
  byId("log-card").hidden = !running && state.lines.length === 0;
}

/** The one live region of the page: written only when it changes, so it is read out only then. */
function drawConnection(connection, outcome) {
  const ending = connection === "ended" && outcome ? `: ${outcome.status}` : "";
  const text = CONNECTION_TEXTS[connection] + ending;
  if (page.connection.textContent === text) return;
  page.connection.textContent = text;
  page.connection.dataset.state = connection;
}

function drawProgress({ progress, outcome }, running) {
  const { current = 0, total = null, message = "" } = progress ?? {};
  page.progress.hidden = !running && !progress;
  byId("progress-text").hidden = page.progress.hidden;
  page.progress.dataset.status = outcome?.status ?? "";
  if (total === null && running) {
    page.progress.removeAttribute("value");
  } else {
    page.progress.max = total || 1;
    page.progress.value = total ? current : 0;
  }
  const percent = total ? ` · ${Math.floor((100 * current) / total)} %` : "";
  const count = total === null ? numbers.format(current) : `${numbers.format(current)} of ${numbers.format(total)}`;
  byId("progress-message").textContent = message;
  byId("progress-numbers").textContent = progress ? count + percent : "";
}

function drawNode(node) {
  const element = elementOf(node);
  const put = (part, text) => (element.querySelector(`.row > .${part}`).textContent = text);
  element.dataset.status = node.status;
  put("name", node.name);
  put("ordinal", node.ordinal ? `#${node.ordinal}` : "");
  put("kind", node.kind);
  put("status", STATUS_TEXTS[node.status] ?? node.status);
  put("detail", [node.detail, node.message, formatRetry(node)].filter(Boolean).join(": "));
  put("usage", formatUsage(node.usage));
  put("time", node.status === "recovered" ? "cached" : formatSeconds(node.seconds));
  drawShown(element, "input", node.input);
  drawShown(element, "output", node.output);
  fold(node, element);
}

/** What a call was given or returned: its beginning in one line, the whole of it when opened. */
function drawShown(element, part, value) {
  const details = element.querySelector(`:scope > .${part}`);
  details.hidden = value === undefined;
  if (details.hidden) return;
  details.querySelector("code").textContent = JSON.stringify(value);
  details.querySelector("pre").textContent = JSON.stringify(value, null, 2);
}

function elementOf(node) {
  const known = drawn.nodes.get(node);
  if (known) return known;

  const element = instantiate("node-template");
  element.dataset.address = node.address;
  element.dataset.order = node.order;
  drawn.nodes.set(node, element);
  insertInOrder(childListOf(node.parent), element);
  return element;
}

function childListOf(parent) {
  if (!parent) return page.tree;
  const element = elementOf(parent);
  const list = element.querySelector(":scope > ul");
  if (list) return list;
  element.append(document.createElement("ul"));
  return element.lastElementChild;
}

/**
 * Among siblings of one name only the last few which went well stay in sight, next to all that
 * run or failed; the others move into a closed <details>, where they cost no layout.
 */
function fold(node, element) {
  const key = `${node.parent?.address ?? ""}/${node.name}`;
  if (!drawn.groups.has(key)) drawn.groups.set(key, { shown: new Set(), details: null });
  const group = drawn.groups.get(key);
  const home = childListOf(node.parent);
  const folded = element.parentElement !== home;

  if (node.status !== "completed" && node.status !== "recovered") {
    group.shown.delete(element);
    if (folded) insertInOrder(home, element);
  } else if (!folded) {
    group.shown.add(element);
    if (group.shown.size > FINISHED_SHOWN) foldFirst(group, home);
  }
  if (group.details) labelFold(group.details, node.name);
}

function foldFirst(group, home) {
  const first = [...group.shown].reduce((a, b) => (orderOf(a) < orderOf(b) ? a : b));
  if (!group.details) {
    const item = instantiate("fold-template");
    item.dataset.order = first.dataset.order;
    home.insertBefore(item, first);
    group.details = item.querySelector("details");
  }
  group.shown.delete(first);
  insertInOrder(group.details.querySelector("ul"), first);
}

function labelFold(details, name) {
  const list = details.querySelector("ul");
  const label = `${name}: ${numbers.format(list.childElementCount)} more finished`;
  details.querySelector("summary").textContent = label;
  list.setAttribute("aria-label", label);
  details.parentElement.hidden = list.childElementCount === 0;
}

function drawTexts(texts) {
  for (const [key, text] of texts) {
    if (!drawn.texts.has(key)) {
      const paragraph = document.createElement("p");
      paragraph.className = key.split("_")[0];
      paragraph.append("");
      page.report.append(paragraph);
      drawn.texts.set(key, paragraph.firstChild);
    }
    const written = drawn.texts.get(key);
    // Appending, not replacing, keeps what the reader has selected.
    if (text.startsWith(written.data)) written.appendData(text.slice(written.length));
    else written.data = text;
  }
}

function drawLog(lines) {
  if (drawn.lines === lines.length) return;
  const { log } = page;
  const atBottom = log.scrollHeight - log.scrollTop - log.clientHeight < 8;

  const first = Math.max(drawn.lines, lines.length - LOG_LINES_SHOWN);
  log.append(...lines.slice(first).map(logLine));
  drawn.lines = lines.length;
  while (log.childElementCount > LOG_LINES_SHOWN) log.firstElementChild.remove();

  if (atBottom) log.scrollTop = log.scrollHeight;
}

function logLine(event) {
  const { timestamp } = event;
  const { level, message } = event.event_type === "log" ? event : { level: event.name, message: JSON.stringify(event.data) };
  const item = instantiate("line-template");
  item.dataset.type = event.event_type;
  item.dataset.level = level;
  item.querySelector("time").dateTime = timestamp;
  item.querySelector("time").textContent = formatTime(timestamp);
  item.querySelector(".level").textContent = level;
  item.querySelector(".message").textContent = message ?? "";
  return item;
}

function drawOutcome({ outcome, nodes }, running) {
  page.outcome.hidden = outcome === null;
  page.outcome.dataset.status = outcome?.status ?? (running ? "started" : "");
  if (drawn.outcome === outcome) return;
  drawn.outcome = outcome;
  if (!outcome) return;

  byId("outcome-title").textContent = OUTCOME_TEXTS[outcome.status] ?? outcome.status;
  byId("outcome-message").textContent = outcome.message ?? "";
  drawTotals(outcome.result, nodes);
  drawLanguages(outcome.result?.languages ?? {});
}

function drawTotals(result, nodes) {
  const cached = [...nodes.values()].filter((node) => node.status === "recovered").length;
  const totals = result ? [["files", result.files], ["lines", result.lines], ["bytes", result.bytes], ["from the cache", cached]] : [];
  byId("totals").replaceChildren(
    ...totals.map(([name, value]) => {
      const pair = document.createElement("div");
      pair.append(textElement("dt", name), textElement("dd", numbers.format(value ?? 0)));
      return pair;
    }),
  );
}

function drawLanguages(languages) {
  const rows = Object.entries(languages).sort(([, a], [, b]) => b.lines - a.lines);
  const most = rows.length ? rows[0][1].lines : 0;
  const others = rows.splice(LANGUAGES_SHOWN);
  if (others.length) rows.push(["others", { files: sum(others, "files"), lines: sum(others, "lines") }]);
  byId("languages").hidden = rows.length === 0;
  byId("languages").tBodies[0].replaceChildren(
    ...rows.map(([suffix, { files, lines }]) => {
      const row = document.createElement("tr");
      const head = textElement("th", suffix || "no suffix");
      head.scope = "row";
      row.append(head, textElement("td", numbers.format(files)), textElement("td", numbers.format(lines)));
      row.style.setProperty("--share", most ? lines / most : 0);
      return row;
    }),
  );
}

const sum = (rows, name) => rows.reduce((total, [, language]) => total + language[name], 0);

const orderOf = (element) => Number(element.dataset.order);

/** Elements nearly always come in order, so the walk from the end is short. */
function insertInOrder(list, element) {
  let before = list.lastElementChild;
  while (before && orderOf(before) > orderOf(element)) before = before.previousElementSibling;
  list.insertBefore(element, before ? before.nextSibling : list.firstChild);
}

function instantiate(templateId) {
  return byId(templateId).content.firstElementChild.cloneNode(true);
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function formatSeconds(seconds) {
  if (typeof seconds !== "number") return "";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
}

function formatRetry({ status, attempt, delay }) {
  if (status !== "retrying") return "";
  const failed = attempt ? `attempt ${attempt} failed` : "failed";
  return delay ? `${failed}, next in ${formatSeconds(delay)}` : failed;
}

function formatUsage(usage) {
  const { input_tokens: given, output_tokens: made } = usage ?? {};
  const parts = [[given, "in"], [made, "out"]].filter(([count]) => typeof count === "number");
  return parts.map(([count, way], index) => `${numbers.format(count)}${index ? "" : " tokens"} ${way}`).join(", ");
}

function formatTime(timestamp) {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? "" : clock.format(date);
}

// ----------------------------------------------------------------------------------------- feed

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15000;

/**
 * The events of one execution. EventSource resumes by itself after a broken connection; the feed
 * adds what EventSource gives up on: an answer other than a stream.
 */
class Feed {
  constructor(id, { onEvent, onReset, onEnd, onState }) {
    this.id = id;
    this.handlers = { onEvent, onReset, onEnd, onState };
    this.lastEventId = "";
    this.failures = 0;
    this.closed = false;
    this.connect();
  }

  connect() {
    const resume = this.lastEventId && `?last_event_id=${encodeURIComponent(this.lastEventId)}`;
    const source = new EventSource(`executions/${this.id}/events${resume}`);
    this.source = source;

    source.onopen = () => {
      this.failures = 0;
      this.handlers.onState("live");
    };
    source.onmessage = ({ data, lastEventId }) => {
      this.lastEventId = lastEventId;
      // <execution>:<number>, and :lost after it where the process that wrote it has died.
      this.handlers.onEvent(Number(lastEventId.split(":")[1]), JSON.parse(data));
    };
    source.addEventListener("reset", () => {
      this.lastEventId = "";
      this.handlers.onReset();
    });
    source.addEventListener("end", ({ data }) => {
      this.close();
      this.handlers.onEnd(JSON.parse(data).status);
    });
    source.onerror = () => {
      this.handlers.onState("reconnecting");
      if (source.readyState === EventSource.CLOSED && !this.closed) this.recover();
    };
  }

  async recover() {
    const forgotten = await isForgotten(this.id);
    if (this.closed) return;
    if (forgotten) {
      this.close();
      this.handlers.onState("forgotten");
      return;
    }
    const delay = Math.min(FIRST_DELAY * 2 ** this.failures, LONGEST_DELAY);
    this.failures += 1;
    // Half of the delay is random: viewers dropped together must not come back together.
    this.timer = setTimeout(() => this.connect(), delay * (0.5 + Math.random() / 2));
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.source.close();
  }
}

/** Only a clear "not found" counts: a server which cannot be reached may still hold everything. */
async function isForgotten(id) {
  try {
    const response = await fetch(`executions/${id}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    return response.status === 404;
  } catch {
    return false;
  }
}

// ----------------------------------------------------------------------------------------- page

const current = { id: "", state: emptyState(), connection: "idle", cancelling: false, feed: null };

let frame = 0;
let submitting = false;
let idempotencyKey = "";

const isRunning = () => current.id !== "" && current.state.outcome === null;

/** One drawing per frame, however many events; a hidden tab collects and draws when looked at. */
function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    draw(current);
  });
}

function setConnection(connection) {
  const { state } = current;
  // The last event is here: a connection which breaks before saying so has nothing left to bring.
  const over = connection === "reconnecting" && state.outcome;
  if (over) current.feed.close();
  if (connection === "forgotten" && !state.outcome) {
    settle(state, { status: "forgotten", message: "An execution is kept for ten minutes after its end, in the store that the demo was started with." });
  }
  current.connection = over ? "ended" : connection;
  redraw();
}

function reset() {
  current.state = emptyState();
  clearView();
  redraw();
}

/** The address bar says which execution is watched: reload, back and a copied link all follow it. */
function followAddress() {
  const [id = ""] = location.hash.slice(1).match(/^[0-9a-f]{32}$/) ?? [];
  if (current.feed) current.feed.close();
  Object.assign(current, { id, connection: id ? "connecting" : "idle", cancelling: false, feed: null });
  page.problem.hidden = true;
  reset();
  if (id) current.feed = new Feed(id, { onEvent, onReset: reset, onEnd, onState: setConnection });
}

function onEvent(position, event) {
  apply(current.state, position, event);
  redraw();
}

function onEnd(status) {
  if (!current.state.outcome) settle(current.state, { status });
  setConnection("ended");
}

async function start() {
  if (submitting || isRunning()) return;
  submitting = true;
  page.problem.hidden = true;
  // Kept until an answer arrives, so that asking again after a network error starts nothing twice.
  idempotencyKey = idempotencyKey || randomKey();
  try {
    const response = await fetch("survey", {
      method: "POST",
      headers: { "Accept": "application/json", "Content-Type": "application/json", "Idempotency-Key": idempotencyKey },
      body: JSON.stringify({ pattern: page.pattern.value, seconds: Number(page.seconds.value) }),
    });
    idempotencyKey = "";
    if (response.ok) location.hash = (await response.json()).id;
    else showProblem(await readProblem(response));
  } catch (error) {
    showProblem(`The server could not be reached: ${error.message}`);
  } finally {
    submitting = false;
  }
}

async function cancel() {
  if (current.cancelling) return;
  const { feed } = current;
  current.cancelling = true;
  page.problem.hidden = true;
  redraw();

  let problem = "";
  try {
    const response = await fetch(`executions/${current.id}`, { method: "DELETE", headers: { Accept: "application/json" } });
    if (!response.ok) problem = await readProblem(response);
  } catch (error) {
    problem = `The server could not be reached: ${error.message}`;
  }
  if (!problem || feed !== current.feed) return;
  current.cancelling = false;
  showProblem(problem);
  redraw();
}

function showProblem(text) {
  page.problem.textContent = text;
  page.problem.hidden = false;
}

/** The words of an RFC 9457 problem, or the status of an answer which is none. */
async function readProblem(response) {
  const problem = await response.json().catch(() => ({}));
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const details = errors.map(({ loc, msg }) => `${loc.join(".")}: ${msg}`); // as pydantic has them
  return [problem.title ?? `The server answered ${response.status}`, problem.detail, ...details].filter(Boolean).join("\n");
}

/** crypto.randomUUID is missing on plain http origins other than localhost. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
page.form.addEventListener("input", () => (idempotencyKey = ""));
page.cancel.addEventListener("click", cancel);

addEventListener("hashchange", () => {
  followAddress();
  if (!current.id) page.pattern.focus();
});
// A page which comes out of the back/forward cache has lost its connection.
addEventListener("pageshow", ({ persisted }) => persisted && followAddress());

followAddress();
