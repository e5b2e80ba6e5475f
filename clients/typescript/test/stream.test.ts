import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, type Connection, type EventStream, type Options, type Reconnect, type StreamOptions } from "../src/index.js";
import { type Answer, BREAK, block, COMPLETE, END, encode, HANG, json, log, logs, named, Server, stream, Time, wait } from "./virtual.js";

const URL = "http://test/events";
const RETRY = "retry: 20\n";
const REST = block(COMPLETE, 4) + END;
const ALL = [log(1), log(2), log(3), COMPLETE];

function events(server: Server, { after, signal, onConnection, ...options }: Options & StreamOptions = {}): EventStream<any> {
  return new Client(URL, { fetch: server.fetch, ...options }).run("x").events({ after, signal, onConnection });
}

/** Watches a stream to its end, or its error, and returns all that can be seen of it. */
function watch(answers: Answer[], options: Options & StreamOptions = {}) {
  return Time.run(watcher(answers, options));
}

function watcher(answers: Answer[], options: Options & StreamOptions = {}) {
  return async (time: Time) => {
    const server = new Server(...answers);
    const [connections, delays, seen]: [Connection[], number[], unknown[]] = [[], [], []];
    const onConnection = (connection: Connection, reconnect?: Reconnect): void => {
      connections.push(connection);
      if (reconnect) delays.push(reconnect.delay);
    };
    const from = time.now;
    const watched = events(server, { onConnection, ...options });
    let error: any;
    try {
      for await (const event of watched) seen.push(event);
    } catch (thrown) {
      error = thrown;
    }
    await new Promise(setImmediate);
    assert.deepEqual([time.timers, server.open], [0, 0], "something is left");
    return { server, seen, error, connections, delays, status: watched.status, number: watched.number, took: time.now - from };
  };
}

describe("a stream", () => {
  test("gives each event once, its number, and the status", async () => {
    const found = await watch([stream(`: stream-start\n${RETRY}${logs(1, 3)}`, REST)]);
    assert.deepEqual([found.seen, found.error, found.status, found.number], [ALL, undefined, "completed", 4]);
    assert.deepEqual(found.connections, ["connecting", "live", "ended"]);
    const [{ method, path, headers }] = found.server.requests as [any];
    assert.deepEqual([method, path, headers.accept, headers["last-event-id"]], ["GET", "/events/executions/x/events", "text/event-stream", undefined]);
  });

  test("goes on after the number that it is given", async () => {
    const found = await watch([stream(logs(3, 3) + REST)], { after: 2 });
    assert.deepEqual([found.seen, found.server.ids], [ALL.slice(2), ["x:2"]]);
  });

  test("loses and repeats nothing wherever a connection is cut", async () => {
    const blocks = ALL.map((event, index) => block(event, index + 1));
    const bytes = encode(`: stream-start\n${RETRY}${blocks.join(": keep-alive\n")}${END}`);
    // As the server does: all after the last id, or 204 if there is nothing.
    const rest: Answer = (request, server) => {
      const last = Number(request.headers.get("last-event-id")?.split(":")[1] ?? 0);
      return stream(blocks.slice(last).join("") + END)(request, server);
    };
    await Time.run(async (time) => {
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const way = cut % 2 ? ([BREAK] as const) : [];
        const found = await watcher([stream(bytes.subarray(0, cut), ...way), rest])(time);
        assert.deepEqual([found.seen, found.status, found.error], [ALL, "completed", undefined], `cut at ${cut}`);
      }
    });
  });

  test("is over when the server says so, even if the connection stays open", async () => {
    const found = await watch([stream(logs(1, 3) + REST, HANG)]);
    assert.deepEqual([found.seen, found.status, found.took], [ALL, "completed", 0]);
  });

  test("does not come back after the terminal event", async () => {
    const found = await watch([stream(logs(1, 3) + block(COMPLETE, 4), BREAK)]);
    assert.deepEqual([found.seen, found.status, found.server.requests.length], [ALL, "completed", 1]);
  });

  test("asks for the status after a 204", async () => {
    const found = await watch([new Response(null, { status: 204 }), json(200, { status: "lost" })], { after: 9 });
    assert.deepEqual([found.seen, found.status], [[], "lost"]);
    assert.equal(found.server.requests[1]!.path, "/events/executions/x");
  });

  test("passes on what it does not know", async () => {
    const unknown = [{ event_type: "chart", points: [1] }, 5, null, { event_type: 7 }];
    const blocks = unknown.map((event, index) => block(event as object, index + 1)).join("");
    const found = await watch([stream(`${named("news", "not ours")}event: new\ndata: {\n\n${blocks}${named("end", { status: "paused" })}`)]);
    assert.deepEqual([found.seen, found.status, found.error], [unknown, "paused", undefined]);
  });

  test("gives an event without an id, of a log that cannot be read", async () => {
    const lost = { event_type: "lost", message: "Gone" };
    const found = await watch([stream(logs(1, 1) + block(lost), BREAK)]);
    assert.deepEqual([found.seen, found.status, found.number], [[log(1), lost], "lost", 1]);
  });

  test("sends the id of a lost event as it was", async () => {
    const found = await watch([stream(block(log(1), "x:1:lost")), stream(logs(2, 3) + REST)]);
    assert.deepEqual([found.seen, found.server.ids], [ALL, [undefined, "x:1:lost"]]);
  });

  test("drops what it has seen", async () => {
    const found = await watch([stream(logs(1, 2)), stream(logs(1, 3) + logs(2, 2) + REST)]);
    assert.deepEqual(found.seen, ALL);
  });

  test("takes a gap for a broken connection", async () => {
    const found = await watch([stream(RETRY + logs(1, 1) + logs(3, 3)), stream(logs(2, 3) + REST)]);
    assert.deepEqual([found.seen, found.server.ids, found.delays], [ALL, [undefined, "x:1"], [20]]);
  });

  test("gives up on a server that never fills a gap", async () => {
    const found = await watch([stream(logs(2, 2))], { giveUpAfter: 60_000 });
    assert.equal(found.error.name, "Unreachable");
    assert.match(found.error.message, /Gave up after 60 s: Event 2 came after 0/);
  });

  test("names the event that is not JSON", async () => {
    const found = await watch([stream(`${logs(1, 1)}data: {"event_type":\nid: x:2\n\n`)]);
    assert.deepEqual([found.seen, found.error.name, found.error.id], [[log(1)], "MalformedEvent", "x:2"]);
    assert.match(found.error.message, /x:2/);
  });
});

describe("a stream that begins again", () => {
  const reset = (reason: string, first: number) => [named("reset", { reason, first }), { event_type: "reset", reason, first }] as const;

  test("tells it, and counts from there", async () => {
    const [text, event] = reset("future", 1);
    const found = await watch([stream(text + logs(1, 3) + REST)], { after: 7 });
    assert.deepEqual([found.seen, found.number], [[event, ...ALL], 4]);
  });

  test("resumes from there", async () => {
    const [text, event] = reset("trimmed", 3);
    const found = await watch([stream(logs(1, 1) + text, BREAK), stream(logs(3, 3) + REST)]);
    assert.deepEqual([found.seen, found.server.ids], [[log(1), event, log(3), COMPLETE], [undefined, "x:2"]]);
  });

  test("has an end of its own", async () => {
    const [text, event] = reset("future", 1);
    const lost = { event_type: "lost" };
    const found = await watch([stream(logs(1, 3) + block(COMPLETE, 4) + text, BREAK), stream(block(lost, 1), BREAK)]);
    assert.deepEqual([found.seen, found.status], [[...ALL, event, lost], "lost"]);
  });

  test("is given up where it does so for ever", async () => {
    const [text, event] = reset("future", 1);
    const found = await watch([stream(text + logs(1, 2))], { after: 7 });
    assert.deepEqual(found.seen.filter((seen: any) => seen.event_type === "reset"), Array(4).fill(event));
    assert.equal(found.error.name, "TooManyResets");
  });

  test("is not given up while events are new", async () => {
    const [text] = reset("future", 1);
    const answers = Array.from({ length: 9 }, (_, n) => stream(text + logs(1, n + 1)));
    const found = await watch([...answers, stream(REST.replace("x:4", "x:10"))]);
    assert.deepEqual([found.error, found.status, found.number], [undefined, "completed", 10]);
  });
});

describe("the time to wait", () => {
  const refuse = (status: number, headers: Record<string, string> = {}): Answer => json(status, {}, headers);
  const down = new TypeError("fetch failed");

  test("doubles from a second to a quarter of a minute", async () => {
    const found = await watch([...Array<Answer>(6).fill(down), stream(logs(1, 3) + REST)]);
    assert.deepEqual(found.delays, [1000, 2000, 4000, 8000, 15000, 15000]);
  });

  test("is that of the server, and begins anew after an event", async () => {
    const found = await watch([stream(RETRY, BREAK), down, stream(logs(1, 1)), down, stream(logs(2, 3) + REST)]);
    assert.deepEqual(found.delays, [20, 40, 20, 40]);
  });

  test("is random in its upper half", async (context) => {
    const random = Math.random;
    await Time.run(async () => {
      context.mock.method(Math, "random", () => 0);
      const delays: number[] = [];
      const server = new Server(down, stream(logs(1, 3) + REST));
      for await (const _ of events(server, { onConnection: (_, reconnect) => reconnect && delays.push(reconnect.delay) }));
      assert.deepEqual(delays, [500]);
    });
    assert.equal(Math.random, random);
  });

  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    test(`comes after a ${status}`, async () => {
      const found = await watch([refuse(status), stream(logs(1, 3) + REST)]);
      assert.deepEqual([found.seen, found.delays], [ALL, [1000]]);
    });
  }

  test("is what Retry-After says, at most a minute", async () => {
    const date = new Date(1_800_000_000_000 + 12_000).toUTCString();
    const answers = ["3", "0", date, "3600", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"].map((after) => refuse(503, { "retry-after": after }));
    const found = await watch([...answers, stream(logs(1, 3) + REST)]);
    assert.deepEqual(found.delays, [3000, 2000, 7000, 60000, 15000, 15000]);
  });

  test("is what goodbye says, unchanged, and no failure", async () => {
    const bye = named("goodbye", { reason: "draining" }, 3456);
    const found = await watch([stream(RETRY + bye, HANG), stream(bye, HANG), stream(RETRY, BREAK), stream(logs(1, 3) + REST)]);
    assert.deepEqual(found.delays, [3456, 3456, 20]);
  });

  test("ends after the time to give up", async () => {
    const found = await watch([stream(logs(1, 1)), down], { giveUpAfter: 20_000 });
    assert.deepEqual([found.error.name, found.error.cause.cause, found.seen], ["Unreachable", down, [log(1)]]);
    assert.deepEqual([found.took, found.delays.length], [20_000, 5]);
  });

  test("does not end while the server answers", async () => {
    const quiet = stream(wait(30_000), BREAK);
    const found = await watch([quiet, down, quiet, quiet, down, stream(logs(1, 3) + REST)], { giveUpAfter: 20_000 });
    assert.deepEqual([found.error, found.seen], [undefined, ALL]);
  });
});

describe("a silent server", () => {
  test("is left after three heartbeats", async () => {
    const found = await watch([stream(logs(1, 1), wait(44_000), wait(44_000), HANG), stream(logs(2, 3) + REST)]);
    assert.deepEqual([found.seen, found.took], [ALL, 44_000 + 44_000 + 45_000 + 1000]);
  });

  test("is left before its head has come, and in a refusal", async () => {
    const stuck: Answer = () => new Response(new ReadableStream(), { status: 400 });
    const found = await watch([HANG, stuck, stream(logs(1, 3) + REST)], { stallTimeout: 5000 });
    assert.deepEqual([found.seen, found.took], [ALL, 5000 + 1000 + 5000 + 2000]);
  });

  test("is not one that a slow reader has not read", async () => {
    await Time.run(async () => {
      const server = new Server(stream(logs(1, 1), logs(2, 3), REST));
      const seen = [];
      for await (const event of events(server)) {
        seen.push(event);
        await new Promise((done) => setTimeout(done, 100_000));
      }
      assert.deepEqual([seen, server.requests.length], [ALL, 1]);
    });
  });

  test("is not one that could not be heard while the page was suspended", async () => {
    await Time.run(async (time) => {
      // The timer fires an hour late, and what the server has sent is read right after it.
      let arrive = (): void => {};
      const heard = new Promise<void>((done) => (arrive = done));
      const server = new Server(stream(logs(1, 1), () => heard, logs(2, 3) + REST));
      const seen = [];
      for await (const event of events(server)) {
        seen.push(event);
        if (seen.length > 1) continue;
        time.late = 3_600_000;
        setTimeout(() => (time.late = 0), 44_999);
        setTimeout(arrive, 45_001 + 3_600_000);
      }
      assert.deepEqual([seen, server.requests.length], [ALL, 1]);
    });
  });

  test("is left a heartbeat after the page was suspended", async () => {
    await Time.run(async (time) => {
      const server = new Server(stream(logs(1, 1), HANG), stream(logs(2, 3) + REST));
      const from = time.now;
      time.late = 3_600_000;
      const seen = [];
      for await (const event of events(server, { onConnection: () => (time.late = time.now > from ? 0 : time.late) })) seen.push(event);
      // Late twice: what was planned for 45 s, and then for 15 s.
      assert.deepEqual([seen, time.now - from], [ALL, 45_000 + 15_000 + 2 * 3_600_000 + 1000]);
    });
  });
});

describe("a refusal", () => {
  for (const status of [400, 403, 404, 410, 418, 422]) {
    test(`of ${status} is an error at once, in the server's words`, async () => {
      const errors = [{ type: "x", loc: ["body", 0, "topic"], msg: "is missing" }];
      const found = await watch([stream(logs(1, 1)), json(status, { title: "No", detail: "Not you.", errors })]);
      assert.deepEqual([found.seen, found.error.name, found.error.status], [[log(1)], "RequestFailed", status]);
      assert.equal(found.error.message, "No\nNot you.\nbody.0.topic: is missing");
    });
  }

  test("without words has its status and its URL", async () => {
    const found = await watch([new Response("<h1>No</h1>", { status: 404 })]);
    assert.equal(found.error.message, "http://test/events/executions/x/events answered 404");
  });

  test("is a page, which is named", async () => {
    const page = new Response("<html>", { headers: { "content-type": "text/html" } });
    Object.defineProperty(page, "clone", { value: () => page });
    Object.defineProperty(page, "url", { value: "http://test/login" });
    const found = await watch([page]);
    assert.equal(found.error.name, "NotAnEventStream");
    assert.match(found.error.message, /http:\/\/test\/login answered text\/html/);
  });

  test("is a wrong certificate", async () => {
    const cause = Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const found = await watch([new TypeError("fetch failed", { cause })]);
    assert.deepEqual([found.error.name, found.delays], ["ClientError", []]);
    assert.match(found.error.message, /self-signed certificate/);
  });

  for (const url of ["events", "localhost:8000/events", "//test/events", "ftp://test/events"]) {
    test(`is the URL ${url}, where there is no page`, async () => {
      const client = new Client(url, { fetch: new Server().fetch });
      await assert.rejects(client.run("x").events().next(), { name: "ClientError", message: /must be http:\/\/ or https:/ });
    });
  }
});

describe("auth", () => {
  const unauthorized = json(401, { title: "Who are you?" });

  function counted(): { auth: () => Promise<Record<string, string>>; tokens: (server: Server) => (string | undefined)[] } {
    let count = 0;
    const auth = async (): Promise<Record<string, string>> => ({ Authorization: `Bearer ${(count += 1)}` });
    return { auth, tokens: (server) => server.requests.map(({ headers }) => headers.authorization) };
  }

  test("is asked before every request", async () => {
    const { auth, tokens } = counted();
    const found = await watch([stream(logs(1, 1)), stream(logs(2, 3)), new Response(null, { status: 204 }), json(200, { status: "completed" })], { auth });
    assert.deepEqual(tokens(found.server), ["Bearer 1", "Bearer 2", "Bearer 3", "Bearer 4"]);
  });

  test("is asked once more after a 401, at once", async () => {
    const { auth, tokens } = counted();
    const found = await watch([stream(logs(1, 1)), unauthorized, stream(logs(2, 3) + REST)], { auth });
    assert.deepEqual([found.seen, found.delays, tokens(found.server)], [ALL, [1000], ["Bearer 1", "Bearer 2", "Bearer 3"]]);
  });

  test("is not asked for ever", async () => {
    const { auth, tokens } = counted();
    const found = await watch([unauthorized], { auth });
    assert.deepEqual([found.error.status, found.error.message, tokens(found.server)], [401, "Who are you?", ["Bearer 1", "Bearer 2"]]);
  });

  test("may be headers, which a 401 does not change", async () => {
    const found = await watch([unauthorized], { auth: { Authorization: "Bearer x", Accept: "text/html" } });
    assert.equal(found.error.status, 401);
    assert.deepEqual(
      found.server.requests.map(({ headers }) => [headers.authorization, headers.accept]),
      [["Bearer x", "text/event-stream"]],
    );
  });

  test("that fails is an error at once", async () => {
    const failure = new Error("no token");
    const found = await watch([stream(REST)], { auth: () => Promise.reject(failure) });
    assert.equal(found.error, failure);
  });
});

describe("leaving", () => {
  test("the loop closes the connection", async () => {
    await Time.run(async () => {
      const server = new Server(stream(logs(1, 2), HANG));
      const watched = events(server);
      for await (const _ of watched) break;
      await new Promise(setImmediate);
      assert.deepEqual([server.open, watched.number, watched.status], [0, 1, null]);
    });
  });

  const places: Record<string, Answer[]> = {
    "before the answer": [HANG],
    "while nothing comes": [stream(logs(1, 1), HANG)],
    "while it waits to reconnect": [new TypeError("fetch failed")],
    "in a heartbeat": [stream(wait(1), HANG)],
  };
  for (const [place, answers] of Object.entries(places)) {
    test(`by a signal ends the loop ${place}`, async () => {
      const controller = new AbortController();
      const left = new Error("left");
      setTimeout(() => controller.abort(left), 20);
      // No virtual time: it would run on while nothing happens.
      const server = new Server(...answers);
      const watched = events(server, { signal: controller.signal });
      for await (const _ of watched);
      await new Promise(setImmediate);
      assert.deepEqual([server.open, watched.status], [0, null]);
    });
  }

  test("by a signal ends the loop at once, even if more has come", async () => {
    const controller = new AbortController();
    const found = await watch([stream(logs(1, 3) + REST)], { signal: controller.signal, onConnection: (now) => now === "live" && controller.abort() });
    assert.deepEqual([found.seen, found.status], [[], null]);
  });

  test("by a signal that was aborted before sends nothing", async () => {
    const found = await watch([stream(REST)], { signal: AbortSignal.abort() });
    assert.deepEqual([found.seen, found.server.requests, found.connections], [[], [], []]);
  });

  test("in the middle of next() ends that", async () => {
    const server = new Server(stream(logs(1, 1), HANG));
    const watched = events(server);
    await watched.next();
    const next = watched.next();
    await watched.return();
    assert.deepEqual([await next, server.open], [{ done: true, value: undefined }, 0]);
  });

  test("leaves no listener on the signal", async (context) => {
    const { signal } = new AbortController();
    const added: [string, AbortSignal][] = [];
    const add = signal.addEventListener.bind(signal);
    context.mock.method(signal, "addEventListener", (type: string, listener: () => void, options: { signal: AbortSignal }) => {
      added.push([type, options.signal]);
      add(type as "abort", listener, options);
    });
    await watch([stream(logs(1, 3) + REST)], { signal });
    assert.deepEqual(added.map(([type, { aborted }]) => [type, aborted]), [["abort", true]]);
  });
});

describe("a page", () => {
  for (const [what, name, init] of [
    ["comes out of the back/forward cache", "pageshow", { persisted: true }],
    ["was frozen", "resume", {}],
  ] as const) {
    test(`that ${what} reconnects at once`, async (context) => {
      const page = new EventTarget();
      for (const name of ["addEventListener", "removeEventListener"] as const) {
        Object.assign(globalThis, { [name]: page[name].bind(page) });
        context.after(() => Reflect.deleteProperty(globalThis, name));
      }
      const server = new Server(stream(logs(1, 1), HANG), stream(logs(2, 3) + REST));
      const delays: (number | undefined)[] = [];
      const watched = events(server, { onConnection: (_, reconnect) => delays.push(reconnect?.delay) });
      const tell = (name: string, init: object): boolean => page.dispatchEvent(Object.assign(new Event(name), init));
      const seen = [];
      let requests = 0; // before the page is shown again
      for await (const event of watched) {
        seen.push(event);
        if (seen.length > 1) continue;
        setTimeout(() => tell("pageshow", { persisted: false }), 1);
        setTimeout(() => ((requests = server.requests.length), tell(name, init)), 20);
      }
      assert.deepEqual([seen, server.ids, requests], [ALL, [undefined, "x:1"], 1]);
      assert.deepEqual(delays, [undefined, undefined, 0, undefined, undefined]);
    });
  }

  test("gives a relative URL its base", async (context) => {
    Object.assign(globalThis, { document: { baseURI: "https://site.example/app/" } });
    context.after(() => Reflect.deleteProperty(globalThis, "document"));
    const asked: string[] = [];
    const fetch = async (url: any) => (asked.push(url), new Response(END, { headers: { "content-type": "text/event-stream" } }));
    for (const url of ["/events/", "events"]) for await (const _ of new Client(url, { fetch }).run("x y").events());
    assert.deepEqual(asked, ["https://site.example/events/executions/x%20y/events", "https://site.example/app/events/executions/x%20y/events"]);
  });
});
