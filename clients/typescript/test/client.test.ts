import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { AnswerRefused, Client, type Options, RequestFailed } from "../src/index.js";
import { type Answer, block, COMPLETE, END, HANG, json, log, logs, named, Server, stream, Time } from "./virtual.js";

const STARTED = json(202, { id: "x", status: "started", last: 1 });

function inTime<T>(answers: Answer[], ask: (client: Client, server: Server, time: Time) => Promise<T>, options: Options = {}) {
  return Time.run(async (time) => {
    const server = new Server(...answers);
    const given = await ask(new Client("http://test/events/", { fetch: server.fetch, ...options }), server, time);
    await new Promise(setImmediate);
    assert.deepEqual([time.timers, server.open], [0, 0], "something is left");
    return { given, requests: server.requests };
  });
}

describe("start", () => {
  test("sends the input with a key of 128 bits", async () => {
    const { given, requests } = await inTime([STARTED], async (client) => {
      await client.start("research", { topic: "tea" });
      await client.start("hello");
      return client.start("a b", null, { key: "mine" });
    });
    assert.equal(given.id, "x");
    assert.deepEqual(
      requests.map(({ method, path, body, headers }) => [method, path, body, headers["content-type"], headers.accept]),
      [
        ["POST", "/events/research", '{"topic":"tea"}', "application/json", "application/json"],
        ["POST", "/events/hello", "", undefined, "application/json"],
        ["POST", "/events/a%20b", "null", "application/json", "application/json"],
      ],
    );
    const [first, second, third] = requests.map(({ headers }) => headers["idempotency-key"]!);
    assert.match(first!, /^\d+(-\d+){3}$/);
    assert.notEqual(first, second);
    assert.equal(third, "mine");
  });

  test("names the thread in the query", async () => {
    const { requests } = await inTime([STARTED], async (client) => {
      await client.start("hello", undefined, { thread: "c1" });
      await client.start("hello", undefined, { thread: "a/b &ü" });
      await client.start("hello", undefined, { thread: "" }); // which the server refuses
    });
    const queries = ["?thread=c1", "?thread=a%2Fb%20%26%C3%BC", "?thread="];
    assert.deepEqual(requests.map(({ path }) => path), queries.map((query) => `/events/hello${query}`));
  });

  test("is repeated with its key, so that it starts once", async () => {
    const failures: Answer[] = [new TypeError("fetch failed"), json(429, {}), json(502, {}), json(503, {}, { "retry-after": "7" }), json(504, {})];
    const { given, requests } = await inTime([...failures, STARTED], async (client, _, time) => {
      const from = time.now;
      await client.start("research", {});
      return time.now - from;
    });
    assert.equal(given, 1000 + 2000 + 4000 + 7000 + 15000);
    assert.deepEqual([requests.length, new Set(requests.map(({ headers }) => headers["idempotency-key"])).size], [6, 1]);
  });

  test("is repeated when its answer breaks off, or does not come", async () => {
    const broken = new Response(new ReadableStream({ start: (body) => body.error(new Error("gone")) }));
    Object.defineProperty(broken, "clone", { value: () => broken });
    const { given, requests } = await inTime([broken, HANG, STARTED], (client) => client.start("research", {}));
    assert.deepEqual([given.id, requests.length], ["x", 3]);
  });

  test("fails in the server's words after a few tries", async () => {
    const { requests } = await inTime([json(429, { title: "Too many", detail: "Later." })], (client) =>
      assert.rejects(client.start("research", {}), { name: "RequestFailed", status: 429, message: "Too many\nLater." }),
    );
    assert.equal(requests.length, 6);
  });

  for (const status of [400, 401, 403, 404, 409, 410, 422, 500]) {
    test(`is not repeated after a ${status}`, async () => {
      const { requests } = await inTime([json(status, {})], (client) => assert.rejects(client.start("research", {}), { status }));
      assert.equal(requests.length, 1);
    });
  }

  test("gives up", async () => {
    const ask = (client: Client): Promise<void> => assert.rejects(client.start("research", {}), { name: "Unreachable", message: /Gave up after 2 s/ });
    await inTime([new TypeError("fetch failed")], ask, { giveUpAfter: 2000 });
  });

  test("ends with its signal", async () => {
    for (const answer of [HANG, new TypeError("fetch failed")] as const) {
      const controller = new AbortController();
      const reason = new Error("left");
      await inTime([answer], async (client) => {
        setTimeout(() => controller.abort(reason), 500);
        await assert.rejects(client.start("research", {}, { signal: controller.signal }), reason);
      });
    }
  });

  test("sends nothing after its signal", async () => {
    const { requests } = await inTime([STARTED], (client) =>
      assert.rejects(client.start("research", {}, { signal: AbortSignal.abort() }), { name: "AbortError" }),
    );
    assert.deepEqual(requests, []);
  });

  test("leaves no listener on the signal", async (context) => {
    const { signal } = new AbortController();
    const added: AbortSignal[] = [];
    const add = signal.addEventListener.bind(signal);
    context.mock.method(signal, "addEventListener", (type: "abort", listener: () => void, options: { signal: AbortSignal }) => {
      added.push(options.signal);
      add(type, listener, options);
    });
    await inTime([json(503, {}), STARTED], (client) => client.start("research", {}, { signal }));
    assert.deepEqual(added.map(({ aborted }) => aborted), [true, true]);
  });

  for (const page of ["<html>", "{}", "5", "null"]) {
    test(`says that ${page} is no answer`, async () => {
      const message = "http://test/events/research answered no execution: is it the URL of the routes?";
      await inTime([new Response(page)], (client) => assert.rejects(client.start("research", {}), { name: "ClientError", message }));
    });
  }

  for (const auth of ["secret", { authorization: "Bearer secret\nsecret" }, { "Bearer secret": "x" }, { authorization: "secret€" }]) {
    test(`keeps to itself what cannot be headers, ${JSON.stringify(auth)}`, async () => {
      for (const given of [auth, () => auth] as Options["auth"][]) {
        const { given: error, requests } = await inTime([], (client) => client.start("research").catch((error) => error), { auth: given });
        assert.match(`${error}`, /^ClientError: auth must be headers/);
        assert.doesNotMatch(inspect(error), /secret/);
        assert.deepEqual(requests, []);
      }
    });
  }

  for (const url of ["http://ada:secret@test/events", "ada:secret@test/events"]) {
    test(`keeps the password of the URL ${url} to itself`, async () => {
      const error = await new Client(url).start("research").catch((error) => error);
      assert.equal(error.name, "ClientError");
      assert.doesNotMatch(inspect(error), /secret/);
    });
  }
});

describe("a run", () => {
  test("is not of an id that no path can have", () => {
    const client = new Client("https://a.example");
    for (const id of ["", ".", ".."]) assert.throws(() => client.run(id), RangeError);
  });

  test("sends nothing before it is asked", async () => {
    const { requests } = await inTime([], async (client) => void client.run("x").events());
    assert.deepEqual(requests, []);
  });

  test("is cancelled by a DELETE, which is repeated", async () => {
    const { given, requests } = await inTime([json(500, {}), json(202, { status: "cancelled" })], (client) => client.run("x").cancel());
    assert.equal(given.status, "cancelled");
    assert.deepEqual(requests.map(({ method, path }) => [method, path]), Array(2).fill(["DELETE", "/events/executions/x"]));
  });

  test("has a result at once when it has ended", async () => {
    const { given, requests } = await inTime([json(200, { status: "completed", result: { a: 1 } })], (client) => client.run("x").result());
    assert.deepEqual([given, requests.length], [{ a: 1 }, 1]);
  });

  test("is followed to its end for its result", async () => {
    const about = json(200, { status: "started", last: 2 });
    const done = json(200, { status: "completed", result: null });
    const { given, requests } = await inTime([about, stream(logs(3, 3)), stream(block(COMPLETE, 4) + END), done], (client) => client.run("x").result());
    assert.equal(given, null);
    assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), [undefined, "x:2", "x:3", undefined]);
  });

  for (const status of ["failed", "cancelled", "lost"]) {
    test(`that is ${status} has none`, async () => {
      await inTime([json(200, { status, error: "It broke" })], (client) =>
        assert.rejects(client.run("x").result(), { name: "ExecutionFailed", status, id: "x", message: "It broke" }),
      );
    });
  }

  test("is not waited for after its signal", async () => {
    const controller = new AbortController();
    const reason = new Error("left");
    await inTime([json(200, { status: "started", last: 0 }), stream(HANG)], async (client) => {
      setTimeout(() => controller.abort(reason), 500);
      await assert.rejects(client.run("x").result({ signal: controller.signal }), reason);
    });
  });
});

describe("a question", () => {
  const asked = { n: 2, message: "Book it?", response_schema: { type: "boolean" }, expires: null, to: null };
  const answered = { ...asked, answer: { action: "accept", by: "ann", timestamp: "2026-05-02T12:00:00Z" } };

  test("is answered, declined, and looked at", async () => {
    const { given, requests } = await inTime([json(201, answered)], async (client) => {
      const run = client.run("a b");
      return [await run.answer(2, { bags: 0 }), await run.answer(2, null), await run.decline(2), await run.question(2)];
    });
    assert.deepEqual(given, Array(4).fill(answered));
    assert.deepEqual(
      requests.map(({ method, path, body, headers }) => [method, path, body, headers["content-type"], headers.accept]),
      [
        ["POST", "/events/executions/a%20b/inputs/2", '{"action":"accept","content":{"bags":0}}', "application/json", "application/json"],
        ["POST", "/events/executions/a%20b/inputs/2", '{"action":"accept","content":null}', "application/json", "application/json"],
        ["POST", "/events/executions/a%20b/inputs/2", '{"action":"decline"}', "application/json", "application/json"],
        ["GET", "/events/executions/a%20b/inputs/2", "", undefined, "application/json"],
      ],
    );
  });

  test("gets the same answer again, whatever the caller does with it meanwhile", async () => {
    const failures: Answer[] = [new TypeError("fetch failed"), json(429, {}), json(502, {}), json(503, {}), json(504, {})];
    const { given, requests } = await inTime([...failures, json(200, answered)], (client) => {
      const content = { seat: "aisle" };
      const answering = client.run("x").answer(2, content);
      content.seat = "window";
      return answering;
    });
    assert.deepEqual(given, answered);
    assert.deepEqual(requests.map(({ body }) => body), Array(6).fill('{"action":"accept","content":{"seat":"aisle"}}'));
  });

  test("gets the same answer again when the response breaks off, or does not come", async () => {
    const broken = new Response(new ReadableStream({ start: (body) => body.error(new Error("gone")) }));
    Object.defineProperty(broken, "clone", { value: () => broken });
    const { given, requests } = await inTime([broken, HANG, json(200, answered)], (client) => client.run("x").decline(2));
    assert.deepEqual([given, requests.length], [answered, 3]);
  });

  for (const [status, facts] of [
    [409, { action: "accept", by: "ann" }],
    [409, { action: "decline", by: null }],
    [410, { action: "expired" }],
    [410, { action: "cancelled" }],
  ] as const) {
    test(`says that it is closed, with ${status} and ${JSON.stringify(facts)}`, async () => {
      const { given, requests } = await inTime([json(status, { title: "Conflict", detail: "Too late.", ...facts })], (client) =>
        client.run("x").answer(2, true).catch((error) => error),
      );
      assert(given instanceof AnswerRefused && given instanceof RequestFailed);
      const { name, message, action, by } = given;
      const told = { name: "AnswerRefused", message: "Conflict\nToo late.", status, by: undefined };
      assert.deepEqual({ name, message, status: given.status, action, by }, Object.assign(told, facts));
      assert.equal(requests.length, 1);
    });
  }

  test("names the fields that do not fit", async () => {
    const errors = [{ type: "minimum", loc: ["bags"], msg: "It must be at least 0." }];
    const { given, requests } = await inTime([json(422, { title: "Unprocessable", errors })], (client) =>
      client.run("x").answer(2, { bags: -1 }).catch((error) => error),
    );
    assert(given instanceof RequestFailed && !(given instanceof AnswerRefused));
    assert.deepEqual([given.message, given.problem.errors], ["Unprocessable\nbags: It must be at least 0.", errors]);
    assert.equal(requests.length, 1);
  });

  for (const status of [400, 403, 404, 410, 413]) {
    test(`is not answered again after a ${status}`, async () => {
      const { requests } = await inTime([json(status, {})], (client) =>
        assert.rejects(client.run("x").answer(2, true), { name: "RequestFailed", status }),
      );
      assert.equal(requests.length, 1);
    });
  }

  test("is not waited for after the signal", async () => {
    for (const answer of [HANG, json(503, {})] as const) {
      const controller = new AbortController();
      const reason = new Error("left");
      await inTime([answer], async (client) => {
        setTimeout(() => controller.abort(reason), 500);
        await assert.rejects(client.run("x").decline(2, { signal: controller.signal }), reason);
      });
    }
  });

  for (const page of ["<html>", "{}", "5", "null"]) {
    test(`says that ${page} is none`, async () => {
      const message = "http://test/events/executions/x/inputs/2 answered no execution: is it the URL of the routes?";
      await inTime([new Response(page)], (client) => assert.rejects(client.run("x").question(2), { name: "ClientError", message }));
    });
  }

  test("cannot be answered with what is no JSON", async () => {
    const { requests } = await inTime([json(201, answered)], (client) => assert.rejects(client.run("x").answer(2, 2n), TypeError));
    assert.deepEqual(requests, []);
  });
});

describe("subscribe", () => {
  const reset = { event_type: "reset", reason: "future", first: 1 };
  const again = named("reset", { reason: "future", first: 1 });

  test("calls the handlers in the order of the events", async () => {
    const { given } = await inTime([stream(again + logs(1, 1)), stream(block(COMPLETE, 2) + END)], async (client) => {
      const told: unknown[] = [];
      await new Promise<void>((resolve) => {
        client.run("x").subscribe({
          onEvent: (event, number) => told.push([number, event]),
          onConnection: (connection) => told.push(connection),
          onEnd: (status) => (told.push(["end", status]), resolve()),
        });
      });
      return told;
    });
    assert.deepEqual(given, ["connecting", "live", [0, reset], [1, log(1)], "reconnecting", "live", [2, COMPLETE], "ended", ["end", "completed"]]);
  });

  test("has handlers for a reset and for an error", async () => {
    const { given } = await inTime([stream(again), json(404, { title: "Gone" })], async (client) => {
      const told: unknown[] = [];
      await new Promise<void>((resolve) => {
        client.run("x").subscribe(
          { onEvent: () => told.push("event"), onReset: (event) => told.push(event), onEnd: () => told.push("end"), onError: (error: any) => (told.push(error.status), resolve()) },
          { after: 3 },
        );
      });
      return told;
    });
    assert.deepEqual(given, [reset, 404]);
  });

  for (const how of ["function", "signal"]) {
    test(`ends with its ${how}, in the middle of what has come`, async () => {
      const { given } = await inTime([stream(logs(1, 3), HANG)], async (client) => {
        const told: unknown[] = [];
        const controller = new AbortController();
        const detach = client.run("x").subscribe(
          {
            onEvent: (_, number) => {
              told.push(number);
              if (number === 2) how === "signal" ? controller.abort() : detach();
            },
            onEnd: () => told.push("end"),
            onError: (error) => told.push(error),
          },
          { signal: controller.signal },
        );
        await new Promise<void>((resolve) => setTimeout(resolve, 10));
        return told;
      });
      assert.deepEqual(given, [1, 2]);
    });
  }

  test("passes on what a handler throws", async () => {
    const mistake = new Error("mistake");
    const { given } = await inTime([stream(logs(1, 3), HANG)], (client) =>
      new Promise((onError) => {
        client.run("x").subscribe({ onEvent: () => { throw mistake; }, onError });
      }),
    );
    assert.equal(given, mistake);
  });
});
