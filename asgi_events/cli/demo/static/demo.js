/*
 * Two parts: the view draws the state, and the page brings the two together. The client brings the
 * events in, and adds them up to the state: see clients/typescript of the repository. What is asked
 * has a view of its own, questions.js.
 */

import { Client, initialState, reduce } from "./client.js";
import { Questions } from "./questions.js";

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
  failed: "Failed",
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

const FORGOTTEN = "An execution is kept for ten minutes after its end, in the store that the demo was started with.";

const numbers = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });

const byId = (id) => document.getElementById(id);
const page = {
  form: byId("start-form"),
  pattern: byId("pattern"),
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
  return { calls: new Map(), groups: new Map(), texts: new Map(), logs: 0, custom: 0, status: null };
}

function clearView() {
  drawn = emptyDrawing();
  for (const element of [page.tree, page.report, page.log]) element.replaceChildren();
}

/** The start form has fields for each actor. */
function drawActor() {
  const { value } = page.form.elements.actor;
  for (const field of page.form.querySelectorAll("[data-actor]")) field.hidden = field.dataset.actor !== value;
}

function draw({ id, state, connection, cancelling }) {
  const running = isRunning();

  document.body.classList.toggle("running", running);
  byId("welcome").hidden = id !== "";
  byId("workspace").hidden = id === "";
  byId("execution-id").textContent = id.slice(0, 8);
  byId("second-viewer").hidden = connection === "forgotten";
  byId("second-viewer").href = `#${id}`;
  page.start.setAttribute("aria-disabled", String(running || submitting));
  page.start.textContent = submitting ? "Starting…" : "Start";
  page.cancel.setAttribute("aria-disabled", String(cancelling));
  page.cancel.textContent = cancelling ? "Cancelling…" : "Cancel";
  if (!running && document.activeElement === page.cancel) page.fresh.focus();
  page.cancel.hidden = !running;

  byId("count").textContent = state.count;
  byId("last-id").textContent = state.last ? `, last #${state.last}` : "";

  drawOutcome(state, running);
  drawProgress(state, running);
  drawCalls(state.tree, page.tree, "");
  drawTexts("reasoning", state.reasoning);
  drawTexts("text", state.text);
  drawLog(state);
  questions.draw();
  byId("questions").hidden = questions.size === 0;
  drawConnection(connection, state.status);

  // What is over and has nothing in it will never have anything.
  byId("tree-card").hidden = !running && drawn.calls.size === 0;
  byId("report-card").hidden = !running && drawn.texts.size === 0;
  byId("log-card").hidden = !running && page.log.childElementCount === 0;
}

/** A live region, as the news of the questions are: written only when it changes, so it is read out only then. */
function drawConnection(connection, status) {
  const ending = connection === "ended" ? `: ${status}` : "";
  const text = CONNECTION_TEXTS[connection] + ending;
  if (page.connection.textContent === text) return;
  page.connection.textContent = text;
  page.connection.dataset.state = connection;
}

function drawProgress({ progress, status }, running) {
  const { current = 0, total = null, message = "" } = progress ?? {};
  page.progress.hidden = !running && !progress;
  byId("progress-text").hidden = page.progress.hidden;
  page.progress.dataset.status = running ? "" : (status ?? "");
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

/** A call that has not changed is the same object as before, and so is all that is below it. */
function drawCalls(calls, home, parent) {
  calls.forEach((call, order) => {
    const known = drawn.calls.get(call.address);
    if (known?.call === call) return;
    const element = known?.element ?? insertCall(call, order, home);
    drawn.calls.set(call.address, { call, element });
    drawCall(call, element);
    fold(call, element, home, parent);
    if (call.children.length) drawCalls(call.children, childListOf(element), call.address);
  });
}

function drawCall(call, element) {
  const put = (part, text) => (element.querySelector(`.row > .${part}`).textContent = text);
  element.dataset.status = call.status;
  put("name", call.name);
  put("ordinal", call.address.match(/#\d+$/)?.[0] ?? "");
  put("kind", call.kind);
  put("status", STATUS_TEXTS[call.status] ?? call.status);
  put("detail", [call.detail, call.message, formatRetry(call)].filter(Boolean).join(": "));
  put("usage", formatUsage(call.usage));
  put("time", call.status === "recovered" ? "cached" : formatSeconds(call.seconds));
  drawShown(element, "input", call.input);
  drawShown(element, "output", call.output);
}

/** What a call was given or returned: its beginning in one line, the whole of it when opened. */
function drawShown(element, part, value) {
  const details = element.querySelector(`:scope > .${part}`);
  details.hidden = value === undefined;
  if (details.hidden) return;
  details.querySelector("code").textContent = JSON.stringify(value);
  details.querySelector("pre").textContent = JSON.stringify(value, null, 2);
}

function insertCall(call, order, home) {
  const element = instantiate("node-template");
  element.dataset.address = call.address;
  element.dataset.order = order;
  insertInOrder(home, element);
  return element;
}

function childListOf(element) {
  const list = element.querySelector(":scope > ul");
  if (list) return list;
  element.append(document.createElement("ul"));
  return element.lastElementChild;
}

/**
 * Among siblings of one name only the last few which went well stay in sight, next to all that
 * run or failed; the others move into a closed <details>, where they cost no layout.
 */
function fold(call, element, home, parent) {
  const key = `${parent}/${call.name}`;
  if (!drawn.groups.has(key)) drawn.groups.set(key, { shown: new Set(), details: null });
  const group = drawn.groups.get(key);
  const folded = element.parentElement !== home;

  if (call.status !== "completed" && call.status !== "recovered") {
    group.shown.delete(element);
    if (folded) insertInOrder(home, element);
  } else if (!folded) {
    group.shown.add(element);
    if (group.shown.size > FINISHED_SHOWN) foldFirst(group, home);
  }
  if (group.details) labelFold(group.details, call.name);
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

function drawTexts(kind, texts) {
  for (const [address, text] of Object.entries(texts)) {
    const key = `${kind} ${address}`;
    if (!drawn.texts.has(key)) {
      const paragraph = document.createElement("p");
      paragraph.className = kind;
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

function drawLog({ logs, custom }) {
  const lines = [...logs.slice(drawn.logs), ...custom.slice(drawn.custom)].sort((a, b) => a.number - b.number);
  if (!lines.length) return;
  const { log } = page;
  const atBottom = log.scrollHeight - log.scrollTop - log.clientHeight < 8;

  log.append(...lines.slice(-LOG_LINES_SHOWN).map(logLine));
  Object.assign(drawn, { logs: logs.length, custom: custom.length });
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

function drawOutcome({ status, error, result, tree }, running) {
  const over = status !== null && !running;
  page.outcome.hidden = !over;
  page.outcome.dataset.status = over || running ? (status ?? "started") : "";
  if (!over || drawn.status === status) return;
  drawn.status = status;

  byId("outcome-title").textContent = OUTCOME_TEXTS[status] ?? status;
  const said = typeof result === "string" ? result : (error ?? "");
  byId("outcome-message").textContent = status === "forgotten" ? FORGOTTEN : said;
  drawTotals(result, tree);
  drawLanguages(result?.languages ?? {});
}

function drawTotals(result, tree) {
  const count = (calls) => calls.reduce((total, call) => total + (call.status === "recovered") + count(call.children), 0);
  const cached = count(tree);
  const totals = result?.languages ? [["files", result.files], ["lines", result.lines], ["bytes", result.bytes], ["from the cache", cached]] : [];
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

// ----------------------------------------------------------------------------------------- page

const TITLE = document.title;

const client = new Client(".");

const questions = new Questions({ list: byId("question-list"), news: byId("news"), template: byId("question-template") });

const current = { id: "", run: null, state: initialState, events: [], connection: "idle", cancelling: false, detach: () => {} };

const MOST_EVENTS = 1000;

let frame = 0;
let submitting = false;

const isRunning = () => current.id !== "" && [null, "started"].includes(current.state.status);

/** One drawing per frame, however many events; a hidden tab collects and draws when looked at. */
function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    addUp();
    draw(current);
  });
}

function addUp() {
  current.state = reduce(current.state, current.events);
  current.events = [];
}

function onEvent(event) {
  if (event.event_type === "reset") clearView();
  current.events.push(event);
  questions.take(event);
  document.title = questions.open ? `(${questions.open}) ${TITLE}` : TITLE;
  if (current.events.length >= MOST_EVENTS) addUp(); // no frames come in a hidden tab
  redraw();
}

function onConnection(connection) {
  current.connection = connection;
  redraw();
}

function onError(error) {
  const forgotten = error.status === 404;
  if (forgotten) current.events.push({ event_type: "end", status: "forgotten" });
  else showProblem(error.message);
  onConnection(forgotten ? "forgotten" : "failed");
}

/** The address bar says which execution is watched: reload, back and a copied link all follow it. */
function followAddress() {
  const [id = ""] = location.hash.slice(1).match(/^[A-Za-z0-9_-]{1,64}$/) ?? [];
  current.detach();
  Object.assign(current, { id, run: id ? client.run(id) : null, state: initialState, events: [], connection: "idle", cancelling: false });
  page.problem.hidden = true;
  document.title = TITLE;
  questions.clear(current.run);
  clearView();
  redraw();
  // An end whose terminal event has not come is an event too.
  const onEnd = (status) => onEvent({ event_type: "end", status });
  current.detach = current.run?.subscribe({ onEvent, onConnection, onEnd, onError }) ?? (() => {});
}

async function start() {
  if (submitting || isRunning()) return;
  submitting = true;
  page.problem.hidden = true;
  redraw();
  try {
    const run = await client.start(...wanted());
    location.hash = run.id;
  } catch (error) {
    showProblem(error.message);
  } finally {
    submitting = false;
    redraw();
  }
}

/** The actor to start, and its input. */
function wanted() {
  const { actor, pattern, seconds, destination, timeout } = page.form.elements;
  if (actor.value === "book") return ["book", { destination: destination.value, seconds: Number(timeout.value) }];
  return ["survey", { pattern: pattern.value, seconds: Number(seconds.value) }];
}

async function cancel() {
  if (current.cancelling) return;
  const { run } = current;
  current.cancelling = true;
  page.problem.hidden = true;
  redraw();
  try {
    await run.cancel();
  } catch (error) {
    if (run !== current.run) return;
    current.cancelling = false;
    showProblem(error.message);
    redraw();
  }
}

function showProblem(text) {
  page.problem.textContent = text;
  page.problem.hidden = false;
}

page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
page.form.addEventListener("change", drawActor);
page.cancel.addEventListener("click", cancel);

addEventListener("hashchange", () => {
  followAddress();
  if (!current.id) [...page.form.elements.actor].find((radio) => radio.checked).focus();
});

drawActor();
followAddress();
