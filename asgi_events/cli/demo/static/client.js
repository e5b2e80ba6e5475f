// @asgi-events/client 0.1.0: made of clients/typescript/src by `npm run bundle`; do not edit.

// src/errors.ts
var ClientError = class extends Error {
  name = "ClientError";
  /**
   * @param facts The members that an error of this class has.
   */
  constructor(message, facts) {
    super(message);
    Object.assign(this, facts);
  }
};
var RequestFailed = class extends ClientError {
  name = "RequestFailed";
};
var AnswerRefused = class extends RequestFailed {
  name = "AnswerRefused";
};
var Unreachable = class extends ClientError {
  name = "Unreachable";
};
var Disconnected = class extends Unreachable {
  name = "Disconnected";
};
var NotAnEventStream = class extends ClientError {
  name = "NotAnEventStream";
};
var MalformedEvent = class extends ClientError {
  name = "MalformedEvent";
};
var TooManyResets = class extends ClientError {
  name = "TooManyResets";
};
var ExecutionFailed = class extends ClientError {
  name = "ExecutionFailed";
};

// src/attempt.ts
var LATE = 1e3;
var LONGEST_TIMER = 2 ** 31 - 1;
var Attempt = class {
  constructor(stallTimeout, outer) {
    this.stallTimeout = stallTimeout;
    const leave = () => this.abort(outer.reason);
    if (outer?.aborted) leave();
    outer?.addEventListener("abort", leave, { signal: this.signal });
  }
  stallTimeout;
  #controller = new AbortController();
  get signal() {
    return this.#controller.signal;
  }
  abort(reason) {
    this.#controller.abort(reason);
  }
  /** Closes the connection, if it is still open. */
  close() {
    this.abort(void 0);
  }
  /** Waits for what the peer sends next. */
  async hear(promise) {
    const stop = this.#watch();
    try {
      return await this.wait(promise);
    } catch (error) {
      if (this.signal.aborted) throw error;
      throw broken(error);
    } finally {
      stop();
    }
  }
  /** Waits for something that is not the peer's, however long. */
  wait(promise) {
    const { signal } = this;
    return new Promise((resolve2, reject) => {
      const abort = () => reject(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort);
      promise.then(resolve2, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }
  sleep(milliseconds2) {
    let timer;
    const slept = new Promise((resolve2) => timer = setTimeout(resolve2, Math.min(milliseconds2, LONGEST_TIMER)));
    return this.wait(slept).finally(() => clearTimeout(timer));
  }
  /** Aborts after a silence; returns what stops that. */
  #watch() {
    let timer;
    const arm = (wait, patient) => {
      const due = Date.now() + wait;
      timer = setTimeout(() => {
        if (patient && Date.now() - due > LATE) arm(this.stallTimeout / 3, false);
        else this.abort(new Disconnected(`No byte for ${this.stallTimeout / 1e3} s`));
      }, wait);
    };
    arm(this.stallTimeout, true);
    return () => clearTimeout(timer);
  }
};
function broken(cause) {
  const { message, code } = cause.cause ?? cause;
  const why = `Connection failed: ${message || code}`;
  return new (/certificate/i.test(why) ? ClientError : Disconnected)(why, { cause });
}

// src/backoff.ts
var LONGEST_DELAY = 15e3;
var TEMPORARY = [408, 425, 429, 500, 502, 503, 504];
function isTemporary(error, statuses = TEMPORARY) {
  return error instanceof Unreachable || error instanceof RequestFailed && statuses.includes(error.status);
}
var Backoff = class {
  constructor(giveUpAfter) {
    this.giveUpAfter = giveUpAfter;
  }
  giveUpAfter;
  /** Milliseconds before the first try again, as the server has told. */
  retry = 1e3;
  /** How many tries in a row have failed. */
  failures = 0;
  #since;
  /** Says that the server can be reached. */
  reached() {
    this.#since = void 0;
  }
  /**
   * Returns the milliseconds to wait after an error.
   *
   * @throws {Unreachable} It is time to give up.
   */
  delayAfter(error) {
    const now = Date.now();
    this.#since ??= now;
    if (now - this.#since >= this.giveUpAfter) {
      throw new Unreachable(`Gave up after ${this.giveUpAfter / 1e3} s: ${error.message}`, { cause: error });
    }
    const asked = error.retryAfter;
    const usual = Math.min(Math.max(this.retry, 1) * 2 ** this.failures, LONGEST_DELAY) * (0.5 + Math.random() / 2);
    if (asked === void 0 || error instanceof RequestFailed) this.failures += 1;
    return Math.min(asked ?? usual, this.#since + this.giveUpAfter - now);
  }
};

// src/problem.ts
var LONGEST_WAIT = 6e4;
async function refusal(response, url) {
  const { status, headers } = response;
  const problem = await response.json().catch(() => null) ?? {};
  const { title = `${url} answered ${status}`, detail, errors, action, by } = problem;
  const invalid = Array.isArray(errors) ? errors.map(({ loc, msg }) => `${[loc].flat().join(".")}: ${msg}`) : [];
  const message = [title, detail, ...invalid].filter(Boolean).join("\n");
  const facts = { status, url, problem, ...action && { action, by }, retryAfter: milliseconds(headers.get("retry-after")) };
  return new (action ? AnswerRefused : RequestFailed)(message, facts);
}
function milliseconds(value) {
  const wait = isNaN(+value) ? Date.parse(value) - Date.now() : +value * 1e3;
  return wait > 0 ? Math.min(wait, LONGEST_WAIT) : void 0;
}

// src/requests.ts
var MOST_REPEATS = 5;
var Requests = class {
  stallTimeout;
  giveUpAfter;
  #base;
  #options;
  constructor(base, options) {
    this.#base = String(base).replace(/\/+$/, "");
    this.#options = options;
    const { stallTimeout = 45e3, giveUpAfter = Infinity } = options;
    if (!(stallTimeout > 0)) throw new RangeError("stallTimeout must be above 0");
    this.stallTimeout = stallTimeout;
    this.giveUpAfter = giveUpAfter;
  }
  /** Returns the JSON of a response, and repeats what fails for a moment. */
  async json(path, { body, ...more }, signal, temporary) {
    const init = { ...more, body: JSON.stringify(body) };
    const backoff = new Backoff(this.giveUpAfter);
    for (let delay = 0; ; ) {
      const attempt = new Attempt(this.stallTimeout, signal);
      try {
        if (delay) await attempt.sleep(delay);
        return await this.jsonOf(path, init, attempt);
      } catch (error) {
        if (!isTemporary(error, temporary) || backoff.failures === MOST_REPEATS) throw error;
        delay = backoff.delayAfter(error);
      } finally {
        attempt.close();
      }
    }
  }
  /** Returns how an execution or a question stands, as a response says it. */
  async jsonOf(path, init, attempt) {
    const response = await this.send(path, { ...init, headers: { accept: "application/json", ...init.headers } }, attempt);
    const text = await attempt.hear(response.text());
    try {
      const about = JSON.parse(text);
      if (about.status ?? about.n) return about;
    } catch {
    }
    throw new ClientError(`${this.#base + path} answered no execution: is it the URL of the routes?`);
  }
  /**
   * Returns a response that is ok.
   *
   * @throws {RequestFailed} It is not.
   * @throws {Unreachable} There is none.
   */
  async send(path, init, attempt) {
    const url = resolve(this.#base + path);
    const { auth, fetch = globalThis.fetch } = this.#options;
    const ask = typeof auth === "function" && auth;
    for (let last = !ask; ; last = true) {
      const headers = headersOf(ask ? await attempt.wait(Promise.resolve(ask())) : auth);
      if (init.body) headers.set("content-type", "application/json");
      for (const name in init.headers) headers.set(name, init.headers[name]);
      attempt.signal.throwIfAborted();
      const response = await attempt.hear(fetch(url, { cache: "no-store", ...init, headers, signal: attempt.signal }));
      if (response.ok) return response;
      const failure = await attempt.hear(refusal(response, url));
      if (last || failure.status !== 401) throw failure;
    }
  }
};
function pathOf(id) {
  return `/executions/${encodeURIComponent(id)}`;
}
function headersOf(given) {
  try {
    return new Headers(given);
  } catch {
    throw new ClientError("auth must be headers");
  }
}
function resolve(url) {
  let href = "";
  try {
    href = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
  }
  if (!/^https?:..[^@/]+\//.test(href)) throw new ClientError("URL must be http:// or https:// without a password");
  return href;
}

// src/cursor.ts
var MOST_RESETS = 5;
var STATUS = {
  complete: "completed",
  error: "failed",
  cancelled: "cancelled",
  lost: "lost"
};
var Cursor = class {
  constructor(id, number) {
    this.id = id;
    this.number = number;
    this.#highest = number;
    this.lastEventId = this.#idOf(number);
  }
  id;
  number;
  /** The status that the execution has ended with, once that is known. */
  status = null;
  /** Whether the server has said that nothing follows. */
  over = false;
  /** What the next request asks to continue after; empty for all events. */
  lastEventId;
  #highest;
  #resets = 0;
  /**
   * Returns what the viewer is told, any JSON; undefined for what it has already.
   *
   * @param retry Milliseconds that the server has told to wait.
   * @throws {Disconnected} The connection is no use any more.
   * @throws {MalformedEvent} Data that is not JSON.
   * @throws {TooManyResets} A reset after many others.
   */
  take({ event, data, id }, retry) {
    const number = Number(/:(\d+)(:lost)?$/.exec(id)?.[1]);
    if (event && event !== "message" && isNaN(number)) return this.#takeNamed(event, () => parse(data, id || event), retry);
    if (number <= this.number) return void 0;
    if (number > this.number + 1) throw new Disconnected(`Event ${number} came after ${this.number}`, { gap: true });
    const json = parse(data, id);
    this.number = number || this.number;
    this.lastEventId = id || this.lastEventId;
    if (this.number > this.#highest) {
      this.#highest = this.number;
      this.#resets = 0;
    }
    this.status = STATUS[json?.event_type] ?? this.status;
    return json;
  }
  #takeNamed(event, json, retry) {
    if (event === "goodbye") throw new Disconnected("The server has said goodbye", { retryAfter: retry });
    if (event === "reset") return this.#reset(json());
    if (event === "end") {
      this.over = true;
      this.status = json()?.status ?? this.status;
    }
    return void 0;
  }
  #reset(told) {
    this.#resets += 1;
    if (this.#resets === MOST_RESETS) throw new TooManyResets(`The server sent ${MOST_RESETS} resets without a new event`);
    const { reason = "malformed", first = 1 } = told ?? {};
    this.status = null;
    this.number = Math.max(first - 1, 0);
    this.lastEventId = this.#idOf(this.number);
    return { event_type: "reset", reason, first };
  }
  #idOf(number) {
    return number ? `${this.id}:${number}` : "";
  }
};
function parse(data, id) {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new MalformedEvent(`The data of the event ${id} is not JSON`, { id, cause });
  }
}

// src/decoder.ts
var Decoder = class {
  /** The milliseconds to wait that were told last, maybe in a block that is not complete. */
  retry;
  #utf8 = new TextDecoder();
  // drops a byte order mark
  #pending = "";
  #afterCR = false;
  #block = emptyBlock();
  /** Returns the blocks that `chunk` completes. */
  feed(chunk) {
    let text = this.#utf8.decode(chunk, { stream: true });
    if (!text) return [];
    if (this.#afterCR && text[0] === "\n") text = text.slice(1);
    this.#afterCR = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#pending + lines[0];
    this.#pending = lines.pop();
    const blocks = [];
    for (const line of lines) {
      if (line) this.#take(line);
      else this.#dispatch(blocks);
    }
    return blocks;
  }
  #take(line) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    const block = this.#block;
    if (name === "data") block.data += `${value}
`;
    else if (name === "event") block.event = value;
    else if (name === "id" && !value.includes("\0")) block.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
  #dispatch(blocks) {
    const block = this.#block;
    if (block.data) blocks.push({ ...block, data: block.data.slice(0, -1) });
    this.#block = emptyBlock();
  }
};
var emptyBlock = () => ({ event: "", data: "", id: "" });

// src/stream.ts
var EventStream = class {
  /** The number of the last event; a later stream continues `after` it. */
  number;
  /** The status that the execution has ended with; null before its end, and after leaving. */
  status = null;
  #cursor;
  #controller = new AbortController();
  #requests;
  #options;
  #events;
  #connection;
  constructor(requests, id, options) {
    const { after = 0, signal } = options;
    if (!Number.isSafeInteger(after) || after < 0) throw new RangeError("after must be a number");
    this.number = after;
    this.#requests = requests;
    this.#options = options;
    this.#cursor = new Cursor(id, after);
    this.#events = this.#follow();
    const leave = () => this.#leave(signal.reason);
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { signal: this.#controller.signal });
  }
  [Symbol.asyncIterator]() {
    return this;
  }
  next() {
    return this.#controller.signal.aborted ? this.return() : this.#events.next();
  }
  return() {
    this.#leave();
    return this.#events.return();
  }
  #leave(reason) {
    this.#controller.abort(reason);
  }
  async *#follow() {
    const { signal } = this.#controller;
    const backoff = new Backoff(this.#requests.giveUpAfter);
    let attempt;
    const show = (event) => {
      if (event.persisted !== false) attempt?.abort(new Disconnected("The page slept", { retryAfter: 0 }));
    };
    for (const type of ["pageshow", "resume"]) {
      globalThis.addEventListener?.(type, show, { signal, capture: true });
    }
    try {
      for (let delay = 0; ; ) {
        if (signal.aborted) return;
        attempt = new Attempt(this.#requests.stallTimeout, signal);
        try {
          if (delay) await attempt.sleep(delay);
          yield* this.#connect(attempt, backoff);
          return this.#end();
        } catch (error) {
          if (signal.aborted) return;
          if (!isTemporary(error)) throw error;
          if (this.#cursor.status) return this.#end();
          if (this.#connection === "live" && !(error instanceof Disconnected && error.gap)) backoff.reached();
          delay = backoff.delayAfter(error);
          this.#tell("reconnecting", { error, delay });
        } finally {
          attempt.close();
        }
      }
    } finally {
      this.#leave();
    }
  }
  /** Yields what one connection brings; returns when the stream has ended, and throws when it has not. */
  async *#connect(attempt, backoff) {
    const cursor = this.#cursor;
    if (!this.#connection) this.#tell("connecting");
    const path = pathOf(cursor.id);
    const headers = { accept: "text/event-stream" };
    if (cursor.lastEventId) headers["last-event-id"] = cursor.lastEventId;
    const response = await this.#requests.send(`${path}/events`, { headers }, attempt);
    if (response.status !== 204) yield* this.#read(response, attempt, backoff);
    cursor.status ??= (await this.#requests.jsonOf(path, {}, attempt)).status;
  }
  async *#read(response, attempt, backoff) {
    const cursor = this.#cursor;
    const { url, headers } = response;
    const contentType = headers.get("content-type");
    if (!/^text\/event-stream *(;|$)/i.test(contentType)) {
      throw new NotAnEventStream(`${url} answered ${contentType}, not text/event-stream`, { url, contentType });
    }
    this.#tell("live");
    const decoder = new Decoder();
    const reader = (response.body ?? new Blob().stream()).getReader();
    try {
      for (; ; ) {
        const { done, value } = await attempt.hear(reader.read());
        if (done) throw new Disconnected("The connection ended before the stream");
        const blocks = decoder.feed(value);
        backoff.retry = decoder.retry ?? backoff.retry;
        for (const block of blocks) {
          const event = cursor.take(block, decoder.retry);
          if (event !== void 0) {
            backoff.failures = 0;
            this.number = cursor.number;
            yield event;
          }
          if (cursor.over) return;
        }
      }
    } finally {
      reader.cancel().catch(() => {
      });
    }
  }
  #end() {
    this.status = this.#cursor.status;
    this.#tell("ended");
  }
  #tell(connection, reconnect) {
    this.#connection = connection;
    this.#options.onConnection?.(connection, reconnect);
  }
};

// src/run.ts
var Run = class {
  constructor(requests, id) {
    this.id = id;
    this.#requests = requests;
    this.#path = pathOf(id);
    if (/^\.{0,2}$/.test(id)) throw new RangeError("id must be an id");
  }
  id;
  #requests;
  #path;
  /**
   * Returns the events as an async iterator, which reconnects by itself.
   *
   * A reset of the server is an event too, `{event_type: "reset", reason, first}`.
   */
  events(options = {}) {
    return new EventStream(this.#requests, this.id, options);
  }
  /** Calls handlers with what `events()` yields. Returns a function that detaches. */
  subscribe(handlers, options = {}) {
    const { onEvent, onReset, onConnection, onEnd, onError } = handlers;
    const stream = this.events({ ...options, onConnection });
    const deliver = async () => {
      for await (const event of stream) {
        if (onReset && event?.event_type === "reset") onReset(event);
        else onEvent?.(event, stream.number);
      }
      if (stream.status) onEnd?.(stream.status);
    };
    deliver().catch(onError);
    return () => void stream.return();
  }
  /**
   * Waits for the end, and returns what the actor returned.
   *
   * @throws {ExecutionFailed} It has failed, was cancelled, or is lost.
   */
  async result({ signal } = {}) {
    let about = await this.about({ signal });
    if (about.status === "started") {
      const stream = this.events({ after: about.last, signal });
      for await (const _ of stream) ;
      about = await this.about({ signal });
    }
    if (about.status === "completed") return about.result;
    throw new ExecutionFailed(about.error ?? about.status, { id: this.id, status: about.status });
  }
  /** Returns how it stands: its status, its result, the number of its newest event. */
  about({ signal } = {}) {
    return this.#requests.json(this.#path, {}, signal);
  }
  /** Cancels it, and returns how it stands; its last event is still to come. */
  cancel({ signal } = {}) {
    return this.#requests.json(this.#path, { method: "DELETE" }, signal);
  }
  /** Returns a question: what it asks, and what has closed it. Whom it is `to` sees no more than that. */
  question(n, options) {
    return this.#input(n, void 0, options);
  }
  /**
   * Answers a question, and returns it. It is repeated when the response is lost: the same answer
   * counts once.
   *
   * @param content What fits its `response_schema`.
   * @throws {AnswerRefused} Another answer was first, or nobody waits for one any more.
   * @throws {RequestFailed} With the status 422 the content does not fit: see `problem.errors`.
   */
  answer(n, content, options) {
    return this.#input(n, { action: "accept", content }, options);
  }
  /** Declines to answer a question, as `answer` does. */
  decline(n, options) {
    return this.#input(n, { action: "decline" }, options);
  }
  #input(n, body, { signal } = {}) {
    return this.#requests.json(`${this.#path}/inputs/${n}`, body ? { method: "POST", body } : {}, signal);
  }
};

// src/client.ts
var NOT_STARTED = [429, 502, 503, 504];
var Client = class {
  #requests;
  /**
   * @param url Where the routes are. In a browser it may be relative to the page.
   */
  constructor(url, options = {}) {
    this.#requests = new Requests(url, options);
  }
  /**
   * Starts an actor, once: a start whose answer is lost is repeated with the same key.
   *
   * @throws {RequestFailed} The server has refused it.
   */
  async start(actor, ...[input, options]) {
    const { key = randomKey(), thread, signal } = options ?? {};
    const { id } = await this.#requests.json(
      `/${encodeURIComponent(actor)}${thread === void 0 ? "" : `?thread=${encodeURIComponent(thread)}`}`,
      { method: "POST", headers: { "idempotency-key": key }, body: input },
      signal,
      NOT_STARTED
    );
    return new Run(this.#requests, id);
  }
  /** Returns the execution with this id. Sends nothing: a wrong id is an error when it is used. */
  run(id) {
    return new Run(this.#requests, id);
  }
};
var randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// src/draft.ts
var OPEN = ["pending", "started", "retrying"];
var places = /* @__PURE__ */ new WeakMap();
var Draft = class {
  state;
  #places;
  #owned = /* @__PURE__ */ new Set();
  constructor(from) {
    this.state = { ...from };
    const known = places.get(from);
    this.#places = known ?? /* @__PURE__ */ new Map();
    if (!known) this.#find(from.tree);
    places.set(this.state, this.#places);
  }
  /** Returns a list or an object that may be changed: itself, if it was made for this draft. */
  own(value) {
    if (this.#owned.has(value)) return value;
    const copy = Array.isArray(value) ? value.slice() : { ...value };
    this.#owned.add(copy);
    return copy;
  }
  /** Returns the call at an address, to change; it and its ancestors are made where they are missing. */
  call(address) {
    const slash = address.lastIndexOf("/");
    let siblings;
    if (slash < 0) siblings = this.state.tree = this.own(this.state.tree);
    else {
      const parent = this.call(address.slice(0, slash));
      siblings = parent.children = this.own(parent.children);
    }
    let place = this.#places.get(address) ?? -1;
    if (place >= 0 && siblings[place]?.address !== address) place = siblings.findIndex((call) => call.address === address);
    if (place < 0) {
      const name = address.slice(slash + 1).replace(/#.*/, "");
      const call = { address, name, kind: "", status: "pending", children: [] };
      this.#owned.add(call);
      place = siblings.push(call) - 1;
      this.#places.set(address, place);
    }
    return siblings[place] = this.own(siblings[place]);
  }
  /** Marks the calls that will never report again. */
  close(calls = this.state.tree) {
    for (const { address, status, children } of calls) {
      if (OPEN.includes(status)) this.call(address).status = "unfinished";
      this.close(children);
    }
  }
  #find(calls) {
    calls.forEach(({ address, children }, place) => {
      this.#places.set(address, place);
      this.#find(children);
    });
  }
};

// src/state.ts
var initialState = Object.freeze({
  tree: [],
  text: {},
  reasoning: {},
  progress: null,
  waiting: [],
  logs: [],
  custom: [],
  state: void 0,
  status: null,
  error: null,
  result: null,
  count: 0,
  last: 0
});

// src/reduce.ts
function reduce(state, events) {
  if (!events.length) return state;
  let draft = new Draft(state);
  for (const event of events) {
    const type = event?.event_type;
    if (type === "reset") {
      const { reason, first } = event;
      if (reason !== "trimmed") draft = new Draft(initialState);
      draft.state.last = Math.max(first - 1, 0);
    } else if (type === "end") {
      if ((draft.state.status || "started") === "started") end(draft, event.status);
    } else {
      draft.state.last += 1;
      draft.state.count += 1;
      draft.state.status ??= "started";
      add(draft, event);
    }
  }
  return draft.state;
}
function add(draft, event) {
  const { state } = draft;
  switch (event?.event_type) {
    case "agent_call":
    case "tool_call":
    case "llm_call":
      addCall(draft, event);
      break;
    case "text_delta":
      write(draft, "text", event.address, event.delta);
      break;
    case "reasoning_delta":
      write(draft, "reasoning", event.address, event.delta);
      break;
    case "progress":
      state.progress = event;
      break;
    case "log":
      (state.logs = draft.own(state.logs)).push({ ...event, number: state.last });
      break;
    case "custom":
      (state.custom = draft.own(state.custom)).push({ ...event, number: state.last });
      break;
    case "state":
      state.state = event.state;
      break;
    case "input_request":
      state.waiting = [...state.waiting, event];
      break;
    case "input_answer":
      state.waiting = state.waiting.filter(({ n }) => n !== event.n);
      break;
    case "complete":
      state.result = event.result ?? null;
      end(draft, STATUS[event.event_type]);
      break;
    case "error":
    case "cancelled":
    case "lost":
      state.error = event.message;
      end(draft, STATUS[event.event_type]);
  }
}
function addCall(draft, event) {
  const call = draft.call(event.address);
  Object.assign(call, {
    name: event.actor,
    kind: event.event_type.replace("_call", ""),
    status: event.execution_status,
    detail: event.detail ?? call.detail,
    message: event.message,
    input: event.input ?? call.input,
    output: event.output,
    usage: event.usage,
    attempt: event.attempt,
    delay: event.delay,
    seconds: event.execution_time
  });
  if (event.execution_status === "retrying") {
    for (const texts of ["text", "reasoning"]) {
      if (Object.hasOwn(draft.state[texts], event.address)) write(draft, texts, event.address);
    }
  }
}
function write(draft, texts, address, delta) {
  const own = draft.state[texts] = draft.own(draft.state[texts]);
  own[address] = delta !== void 0 && Object.hasOwn(own, address) ? own[address] + delta : delta ?? "";
}
function end(draft, status) {
  draft.state.status = status;
  draft.state.waiting = [];
  draft.close();
}
export {
  AnswerRefused,
  Client,
  ClientError,
  Disconnected,
  EventStream,
  ExecutionFailed,
  MalformedEvent,
  NotAnEventStream,
  RequestFailed,
  Run,
  TooManyResets,
  Unreachable,
  initialState,
  reduce
};
