import { ClientError, ExecutionFailed } from "./errors.js";
import { beforeNextFrame } from "./frame.js";
import { type EndEvent, reduce } from "./reduce.js";
import type { Run } from "./run.js";
import { initialState, type State } from "./state.js";
import type { Connection } from "./stream.js";
import { nextTask } from "./task.js";

/** What can be shown of an execution at one moment; it never changes. */
export interface Snapshot {
  readonly state: State;
  /** `closed`: an error has ended the stream, and it does not come back. */
  readonly connection: Connection | "closed";
  readonly error: Error | null;
}

/** What is shown before anything is known. */
export const initialSnapshot: Snapshot = Object.freeze({ state: initialState, connection: "connecting", error: null });

type Told = Parameters<typeof reduce>[1][number];

/** How many events wait for a frame; more of them become state at once. */
const MOST_WAITING = 1000;

/** How many events are taken at once: some milliseconds of work, less than a frame. */
const MOST_IN_A_TASK = 500;

/** How many states are kept that nobody looks at, so that who comes back sees them at once. */
const MOST_LEFT = 10;

/** An execution for all that look at it: one connection, and one state. */
export class Watch {
  snapshot = initialSnapshot;

  #state: State = initialState;
  #connection: Snapshot["connection"] = "connecting";
  #error: Error | null = null;
  #waiting: Told[] = [];
  #taken = 0;
  #controller: AbortController | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly run: Run<any, unknown>,
    /** Is called when nobody looks any more. */
    readonly onLeft: () => void,
  ) {}

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  get isOver(): boolean {
    return this.#connection === "ended" || this.#connection === "closed";
  }

  /** Connects, if nothing is connected. Returns a function that detaches, if nobody else looks. */
  subscribe(listener: () => void): () => void {
    // Every caller has a listener of its own, even if two pass the same function.
    const own = (): void => listener();
    this.#listeners.add(own);
    if (!this.#controller && this.#connection !== "ended") void this.#follow((this.#controller = new AbortController()));
    return () => {
      this.#listeners.delete(own);
      // React subscribes anew at once, in StrictMode and when it replaces a component.
      setTimeout(() => this.#leave(), 0);
    };
  }

  async #follow({ signal }: AbortController): Promise<void> {
    this.#error = null;
    this.#tell("connecting");
    try {
      const stream = this.run.events({
        after: this.#state.last,
        signal,
        onConnection: (connection) => signal.aborted || this.#tell(connection),
      });
      for await (const event of stream) {
        this.#take(event);
        // A stream that is far behind is read in one task, as long as there is more.
        if (this.#taken % MOST_IN_A_TASK === 0) await nextTask();
      }
      if (stream.status) this.#take({ event_type: "end", status: stream.status } satisfies EndEvent);
    } catch (error) {
      if (signal.aborted) return;
      this.#controller = undefined;
      this.#error = errorOf(error);
      this.#tell("closed");
    }
  }

  #leave(): void {
    if (this.isWatched) return;
    this.#controller?.abort();
    this.#controller = undefined;
    if (!this.isOver) this.#connection = "connecting"; // as whoever comes back will see it
    this.#show();
    this.onLeft();
  }

  #take(event: Told): void {
    this.#taken += 1;
    if (this.#waiting.push(event) >= MOST_WAITING) this.#reduce();
    beforeNextFrame(this.#show);
  }

  #tell(connection: Snapshot["connection"]): void {
    this.#connection = connection;
    beforeNextFrame(this.#show);
  }

  #reduce(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#state = reduce(this.#state, waiting);
  }

  readonly #show = (): void => {
    this.#reduce();
    const { state, connection, error } = this.snapshot;
    const failed = this.#error ?? this.#failure(state, error);
    if (state === this.#state && connection === this.#connection && error === failed) return;
    this.snapshot = { state: this.#state, connection: this.#connection, error: failed };
    for (const listener of this.#listeners) listener();
  };

  /** Returns the error of the execution, the same one as long as it has the same message. */
  #failure(shown: State, error: Error | null): Error | null {
    const { error: message, status } = this.#state;
    if (message === null) return null;
    if (shown.error === message && error instanceof ExecutionFailed) return error;
    return new ExecutionFailed(message, { id: this.run.id, status });
  }
}

const watches = new WeakMap<object, Map<string, Watch>>();

/** Returns the one watch of an execution that a client has. */
export function watchOf(client: { run(id: string): Run<any, unknown> }, id: string): Watch {
  let known = watches.get(client);
  if (!known) watches.set(client, (known = new Map()));
  let watch = known.get(id);
  if (!watch) {
    const made = (watch = new Watch(client.run(id), () => {
      if (known.get(id) !== made) return;
      known.delete(id); // to be the newest
      known.set(id, made);
      forget(known);
    }));
    known.set(id, watch);
    forget(known);
  }
  return watch;
}

function forget(known: Map<string, Watch>): void {
  const left = [...known].filter(([, watch]) => !watch.isWatched);
  for (const [id] of left.slice(0, -MOST_LEFT)) known.delete(id);
}

/** Returns what was thrown as an error; a function of the caller may throw anything. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new ClientError(String(thrown), { cause: thrown });
}
