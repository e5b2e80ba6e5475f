import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { initialState, reduce, type State } from "../src/index.js";

const at = { timestamp: "2026-01-01T00:00:00Z" };
const call = (address: string, execution_status: string, more: object = {}): any => {
  const actor = address.replace(/.*\//, "").replace(/#.*/, "");
  return { event_type: "agent_call", address, actor, execution_status, from_cache: false, ...at, ...more };
};
const text = (address: string, delta: string): any => ({ event_type: "text_delta", address, delta, ...at });
const thought = (address: string, delta: string): any => ({ event_type: "reasoning_delta", address, delta, ...at });

/** Reduces in one batch, one by one, and in two parts; all must give the same and change nothing. */
function reduced(...events: any[]): State<any> {
  for (const event of events) freeze(event);
  const whole = freeze(reduce(initialState, events));
  const single = events.reduce((state, event) => freeze(reduce(state, [event])), initialState);
  assert.deepEqual(single, whole);
  for (let cut = 0; cut <= events.length; cut += 1) {
    const first = freeze(reduce(initialState, events.slice(0, cut)));
    assert.deepEqual(reduce(first, events.slice(cut)), whole);
    // A state that was stored, or sent from a server.
    const stored = { ...JSON.parse(JSON.stringify(first)), state: first.state };
    assert.deepEqual(plain(reduce(stored, events.slice(cut))), plain(whole));
  }
  return whole;
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function freeze<T>(value: T): T {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

/** The tree as lines of address and status. */
const lines = ({ tree }: State): string[] => tree.flatMap((one) => [`${one.address} ${one.status}`, ...lines({ tree: one.children } as unknown as State)]);

describe("reduce", () => {
  test("begins with nothing", () => {
    assert.equal(reduce(initialState, []), initialState);
    assert.deepEqual(reduced({ event_type: "chart" }), { ...initialState, status: "started", count: 1, last: 1 });
  });

  test("makes a tree of the calls", () => {
    const state = reduced(
      call("a", "started", { input: { topic: "tea" }, detail: "tea" }),
      call("a/b", "started", { event_type: "tool_call" }),
      call("a/b#2", "started", { event_type: "llm_call" }),
      call("a/b", "completed", { event_type: "tool_call", execution_time: 0.5, output: [1] }),
      call("a/b#2", "recovered", { event_type: "llm_call", execution_time: 0, usage: { input_tokens: 3 }, from_cache: true }),
      call("a", "failed", { message: "no", execution_time: 2 }),
    );
    const bare = { detail: undefined, message: undefined, attempt: undefined, delay: undefined, input: undefined, output: undefined, usage: undefined, children: [] };
    assert.deepEqual(state.tree, [
      {
        ...bare,
        address: "a",
        name: "a",
        kind: "agent",
        status: "failed",
        detail: "tea",
        message: "no",
        input: { topic: "tea" },
        seconds: 2,
        children: [
          { ...bare, address: "a/b", name: "b", kind: "tool", status: "completed", output: [1], seconds: 0.5 },
          { ...bare, address: "a/b#2", name: "b", kind: "llm", status: "recovered", usage: { input_tokens: 3 }, seconds: 0 },
        ],
      },
    ]);
  });

  test("makes the ancestors that it has not seen", () => {
    const state = reduced(call("a/b#3/c", "started"), call("a", "completed"), { event_type: "log", address: "x", level: "info", message: "m" });
    assert.deepEqual(lines(state), ["a completed", "a/b#3 pending", "a/b#3/c started"]);
    assert.equal(state.tree[0]!.children[0]!.name, "b");
  });

  test("adds up the texts of each address, in the order in which they begin", () => {
    const state = reduced(text("b", "1"), text("a", "2"), thought("a", "hm"), text("b", "3"), text("constructor", "4"));
    assert.deepEqual(Object.entries(state.text), [["b", "13"], ["a", "2"], ["constructor", "4"]]);
    assert.deepEqual(state.reasoning, { a: "hm" });
  });

  test("drops the text of an attempt that has failed, and keeps its place", () => {
    const retry = call("a", "retrying", { attempt: 1, delay: 1.5, message: "busy" });
    const state = reduced(call("a", "started"), text("a", "1"), thought("a", "2"), text("a/b", "3"), text("c", "4"), retry);
    assert.deepEqual([Object.entries(state.text), state.reasoning], [[["a", ""], ["a/b", "3"], ["c", "4"]], { a: "" }]);
    assert.deepEqual([state.tree[0]!.attempt, state.tree[0]!.delay, state.tree[0]!.message], [1, 1.5, "busy"]);

    const again = reduced(call("a", "started"), text("a", "1"), retry, text("a", "5"), call("a", "completed"));
    assert.deepEqual([again.text, again.tree[0]!.attempt, again.tree[0]!.message], [{ a: "5" }, undefined, undefined]);
  });

  test("has what is not of a call", () => {
    const progress = { event_type: "progress", address: "a", current: 1, total: 2, ...at };
    const line = { event_type: "log", address: "a", level: "info", message: "m", ...at };
    const custom = { event_type: "custom", address: "a", name: "n", data: 1, ...at };
    const state = reduced(line, progress, custom, { ...line, message: "n" }, { event_type: "state", address: "a", state: { x: 1 }, ...at });
    assert.equal(state.progress, progress);
    assert.deepEqual(state.logs, [{ ...line, number: 1 }, { ...line, message: "n", number: 4 }]);
    assert.deepEqual(state.custom, [{ ...custom, number: 3 }]);
    assert.deepEqual([state.state, state.waiting], [{ x: 1 }, []]);
  });

  for (const [type, status] of Object.entries({ complete: "completed", error: "failed", cancelled: "cancelled", lost: "lost" })) {
    test(`knows the end by ${type}, and marks what is still open`, () => {
      const end = { event_type: type, address: "", message: "so", ...(type === "complete" && { result: [1] }) };
      const events = [call("a", "started"), call("a/b", "completed"), call("a/c/d", "retrying"), call("e", "failed"), end];
      const state = reduced(...events);
      const complete = type === "complete";
      assert.deepEqual([state.status, state.error, state.result], [status, complete ? null : "so", complete ? [1] : null]);
      assert.deepEqual(lines(state), ["a unfinished", "a/b completed", "a/c unfinished", "a/c/d unfinished", "e failed"]);
      const other = { event_type: "end", status: "lost" };
      assert.deepEqual(reduce(state, [other]), state);
    });
  }

  test("takes the end from whom knows it otherwise", () => {
    const state = reduced(call("a", "started"), { event_type: "end", status: "lost" });
    assert.deepEqual([state.status, state.count, state.last, lines(state)], ["lost", 1, 1, ["a unfinished"]]);
  });

  test("begins anew with a reset", () => {
    const before = [call("a", "started"), text("a", "1"), { event_type: "complete", result: 1 }];
    const state = reduced(...before, { event_type: "reset", reason: "future", first: 1 }, call("b", "started"));
    assert.deepEqual([lines(state), state.text, state.status, state.count, state.last], [["b started"], {}, "started", 1, 1]);
  });

  test("keeps what it has where only the oldest events are gone", () => {
    const state = reduced(call("a", "started"), { event_type: "reset", reason: "trimmed", first: 9 }, call("a/b", "started"));
    assert.deepEqual([lines(state), state.count, state.last], [["a started", "a/b started"], 2, 9]);
  });

  test("counts what it does not know", () => {
    const state = reduced(5, null, "x", [], { event_type: 7 }, {}, { event_type: "constructor" });
    assert.deepEqual(state, { ...initialState, status: "started", count: 7, last: 7 });
  });

  test("has the questions that wait, until they are answered or nobody can answer", () => {
    const ask = (n: number) => ({ event_type: "input_request", address: "a", n, message: "Sure?", response_schema: { type: "boolean" } });
    const answer = (n: number) => ({ event_type: "input_answer", address: "a", n, action: "accept" });
    const waiting = (...events: { event_type: string }[]) => reduced(...events).waiting.map(({ n }) => n);
    assert.deepEqual(waiting(ask(1), ask(2), ask(3)), [1, 2, 3]);
    assert.deepEqual(waiting(ask(1), ask(2), answer(1), answer(7)), [2]);
    assert.deepEqual(waiting(ask(1), { event_type: "cancelled" }), []);
    assert.deepEqual(waiting(ask(1), { event_type: "end", status: "lost" } as any), []);
    const before = reduced(ask(1));
    assert.equal(reduce(before, [text("a", "1")]).waiting, before.waiting);
    assert.deepEqual(reduce(before, [answer(1)]).waiting, []);
    assert.equal(before.waiting.length, 1);
  });

  test("keeps the identity of all that does not change", () => {
    const before = reduced(call("a", "started"), call("a/b", "started"), call("a/c", "started"), call("d", "started"), text("a", "1"));
    const after = reduce(before, [call("a/b", "completed"), call("a/b/e", "started")]);
    const [[a, d], [a2, d2]] = [before.tree, after.tree] as any;
    assert.notEqual(a2, a);
    assert.notEqual(a2.children[0], a.children[0]);
    assert.equal(a2.children[1], a.children[1]);
    assert.equal(d2, d);
    for (const name of ["text", "reasoning", "logs", "custom", "progress", "waiting"] as const) assert.equal(after[name], before[name]);
    const written = reduce(after, [text("a", "2")]);
    assert.equal(written.tree, after.tree);
    assert.deepEqual([after.text, written.text], [{ a: "1" }, { a: "12" }]);
  });

  test("goes two ways from one state, as React does in its strict mode", () => {
    const before = reduced(call("a", "started"));
    const left = freeze(reduce(before, [call("a/x", "started"), call("a/y", "started")]));
    const right = freeze(reduce(before, [call("a/y", "started"), call("a/z", "started"), call("a/x", "started")]));
    const order = (state: State): string[] => state.tree[0]!.children.map(({ name }) => name);
    assert.deepEqual([order(before), order(left), order(right)], [[], ["x", "y"], ["y", "z", "x"]]);
    for (const state of [left, right, reduce(left, [call("a/z", "started")])]) {
      const done = reduce(state, [call("a/x", "completed"), call("a/y", "failed")]);
      assert.deepEqual(lines(done).filter((line) => !line.endsWith("started")).sort(), ["a/x completed", "a/y failed"]);
      assert.deepEqual(order(done), order(state));
    }
  });
});
