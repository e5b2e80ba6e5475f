import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import type { Run } from "../src/run.js";
import { type Watch, watchOf } from "../src/watch.js";

const log = (message: string): object => ({ event_type: "log", level: "info", address: "", timestamp: "", message });

/** A client whose executions send what a test feeds, and say after which event each stream begins. */
class Feed {
  readonly begun: number[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #events: (object | Error | null)[] = [];

  get left(): number {
    return this.#events.length;
  }

  /** Sends events; an error breaks the stream, and null ends it. */
  send(...events: (object | Error | null)[]): void {
    this.#events.push(...events);
    for (const resume of this.#waiting.splice(0)) resume();
  }

  readonly run = (id: string): Run<any, unknown> => ({ id, events: this.#follow }) as unknown as Run<any, unknown>;

  readonly #follow = ({ after, signal }: { after: number; signal: AbortSignal }): object => {
    this.begun.push(after);
    const feed = this;
    return {
      status: "completed",
      async *[Symbol.asyncIterator]() {
        while (!signal.aborted) {
          const event = feed.#events.shift();
          if (event === null) return;
          if (event instanceof Error) throw event;
          if (event) yield event;
          else await new Promise<void>((resolve) => (feed.#waiting.push(resolve), signal.addEventListener("abort", () => resolve())));
        }
      },
    };
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets time pass for a test only when it says so. */
function clock(context: { mock: Pick<typeof mock, "method"> }): (milliseconds: number) => void {
  let timers: { due: number; call: () => void }[] = [];
  let now = 0;
  context.mock.method(globalThis, "setTimeout", (call: () => void, wait: number) => {
    const timer = { due: now + wait, call };
    timers.push(timer);
    return timer;
  });
  context.mock.method(globalThis, "clearTimeout", (timer: unknown) => {
    timers = timers.filter((each) => each !== timer);
  });
  return (milliseconds) => {
    now += milliseconds;
    const due = timers.filter((each) => each.due <= now);
    timers = timers.filter((each) => each.due > now);
    for (const { call } of due) call();
  };
}

function watching(client: Feed): { watch: Watch; seen: number[]; leave: () => void } {
  const watch = watchOf(client, "x");
  const seen: number[] = [];
  return { watch, seen, leave: watch.subscribe(() => seen.push(watch.snapshot.state.count)) };
}

describe("a watch", () => {
  test("adds up many events before there is a frame", async (context) => {
    const tick = clock(context);
    const client = new Feed();
    const { watch, seen, leave } = watching(client);
    const read = new Set<number>();
    const counted = (_: unknown, number: number): object => ({ get event_type() { return read.add(number), "new"; } });
    client.send(...Array.from({ length: 2500 }, counted));
    while (client.left) await turn();
    const before = read.size;
    tick(1000);
    leave();
    tick(0);
    assert.deepEqual([before, seen, watch.snapshot.state.last], [2000, [2500], 2500]);
  });

  test("lets the page draw while it reads what it has missed", async (context) => {
    clock(context);
    const client = new Feed();
    const { MessageChannel } = globalThis;
    const read: number[] = [];
    context.mock.method(globalThis, "MessageChannel", function () {
      read.push(2500 - client.left);
      return new MessageChannel();
    });
    watching(client);
    client.send(...Array.from({ length: 2500 }, () => log("a")));
    while (client.left) await turn();
    await turn();
    assert.deepEqual(read, [500, 1000, 1500, 2000, 2500]);
  });

  test("tells nobody who has left, and goes on where it was", async (context) => {
    const tick = clock(context);
    const client = new Feed();
    const first = watching(client);
    client.send(log("a"), log("b"));
    await turn();
    first.leave();
    tick(0);
    assert.deepEqual([first.seen, first.watch.snapshot.state.count], [[], 2]);
    await turn();
    const second = watching(client);
    client.send(log("c"), null);
    await turn();
    tick(1000);
    assert.deepEqual([client.begun, first.seen, second.seen], [[0, 2], [], [3]]);
    const { connection, error, state } = second.watch.snapshot;
    assert.deepEqual([connection, error, state.status], ["connecting", null, "completed"]);
  });

  test("keeps one connection when a listener is replaced", async (context) => {
    const tick = clock(context);
    const client = new Feed();
    const same = (): void => {};
    const watch = watchOf(client, "x");
    const leave = watch.subscribe(same);
    watch.subscribe(same);
    leave();
    tick(0);
    assert.deepEqual([client.begun, watch.isWatched], [[0], true]);
  });

  test("is closed by an error, and tries again for the next who looks", async (context) => {
    const tick = clock(context);
    const client = new Feed();
    const { watch, leave } = watching(client);
    const failure = new Error("it is gone");
    client.send(log("a"), failure);
    await turn();
    tick(1000);
    assert.deepEqual([watch.snapshot.connection, watch.snapshot.error, watch.isOver], ["closed", failure, true]);
    leave();
    tick(0);
    watching(client);
    tick(1000);
    assert.deepEqual([watch.snapshot.connection, watch.snapshot.error, client.begun], ["connecting", null, [0, 1]]);
  });

  test("has the error of an execution, the same one while nothing changes", async (context) => {
    const tick = clock(context);
    const client = new Feed();
    const { watch } = watching(client);
    client.send({ event_type: "error", address: "", timestamp: "", message: "it broke" });
    await turn();
    tick(1000);
    const { error } = watch.snapshot;
    client.send(null);
    await turn();
    tick(1000);
    const { name, message, id, status } = error as Error & { id: string; status: string };
    assert.deepEqual([name, message, id, status], ["ExecutionFailed", "it broke", "x", "failed"]);
    assert.equal(watch.snapshot.error, error);
  });
});
