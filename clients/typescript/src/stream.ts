import { Attempt } from "./attempt.js";
import { Backoff, isTemporary } from "./backoff.js";
import { Cursor } from "./cursor.js";
import { Decoder } from "./decoder.js";
import { Disconnected, NotAnEventStream, type RequestFailed, type Unreachable } from "./errors.js";
import { pathOf, type Requests } from "./requests.js";
import type { ResetEvent } from "./types.js";

/** How a stream is connected: `live` while events can come, `ended` once all have. */
export type Connection = "connecting" | "live" | "reconnecting" | "ended";

/** Why a stream reconnects, and when: in so many milliseconds. */
export interface Reconnect {
  error: Unreachable | RequestFailed;
  delay: number;
}

export interface StreamOptions {
  /** The number of the last event that the caller has; 0. */
  after?: number | undefined;
  /** Detaches: closes the connection and ends the loop; the execution runs on. */
  signal?: AbortSignal | undefined;
  /** Is called when the connection changes; after a failure with what the stream does about it. */
  onConnection?: ((connection: Connection, reconnect?: Reconnect) => void) | undefined;
}

/**
 * The events of one execution, in order and once each, over as many connections as it takes.
 *
 * To leave it, leave the loop, or abort its signal: the execution runs on.
 */
export class EventStream<Event> implements AsyncIterableIterator<Event | ResetEvent, void> {
  /** The number of the last event; a later stream continues `after` it. */
  number: number;
  /** The status that the execution has ended with; null before its end, and after leaving. */
  status: string | null = null;

  readonly #cursor: Cursor;
  readonly #controller = new AbortController();
  readonly #requests: Requests;
  readonly #options: StreamOptions;
  readonly #events: AsyncGenerator<Event | ResetEvent, void>;
  #connection: Connection | undefined;

  constructor(requests: Requests, id: string, options: StreamOptions) {
    const { after = 0, signal } = options;
    if (!Number.isSafeInteger(after) || after < 0) throw new RangeError("after must be a number");
    this.number = after;
    this.#requests = requests;
    this.#options = options;
    this.#cursor = new Cursor(id, after);
    this.#events = this.#follow();
    const leave = (): void => this.#leave(signal!.reason);
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { signal: this.#controller.signal });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Event | ResetEvent, void>> {
    // What one chunk has brought may be left when the viewer leaves.
    return this.#controller.signal.aborted ? this.return() : this.#events.next();
  }

  return(): Promise<IteratorResult<Event | ResetEvent, void>> {
    this.#leave();
    return this.#events.return();
  }

  #leave(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  async *#follow(): AsyncGenerator<Event | ResetEvent, void> {
    const { signal } = this.#controller;
    const backoff = new Backoff(this.#requests.giveUpAfter);
    let attempt: Attempt | undefined;
    // A page that comes out of the back/forward cache has lost its connection, and was not told. In
    // Chromium a page that was frozen may have, too: it reads no more of what came meanwhile.
    const show = (event: { persisted?: boolean }): void => {
      if (event.persisted !== false) attempt?.abort(new Disconnected("The page slept", { retryAfter: 0 }));
    };
    for (const type of ["pageshow", "resume"]) {
      // "resume" is the document's, and does not bubble
      globalThis.addEventListener?.(type, show as EventListener, { signal, capture: true });
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
          // After the terminal event there is nothing to come back for.
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
  async *#connect(attempt: Attempt, backoff: Backoff): AsyncGenerator<Event | ResetEvent, void> {
    const cursor = this.#cursor;
    if (!this.#connection) this.#tell("connecting");
    const path = pathOf(cursor.id);
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (cursor.lastEventId) headers["last-event-id"] = cursor.lastEventId;
    const response = await this.#requests.send(`${path}/events`, { headers }, attempt);
    if (response.status !== 204) yield* this.#read(response, attempt, backoff);
    cursor.status ??= (await this.#requests.jsonOf(path, {}, attempt)).status;
  }

  async *#read(response: Response, attempt: Attempt, backoff: Backoff): AsyncGenerator<Event | ResetEvent, void> {
    const cursor = this.#cursor;
    const { url, headers } = response;
    const contentType = headers.get("content-type");
    if (!/^text\/event-stream *(;|$)/i.test(contentType!)) {
      throw new NotAnEventStream(`${url} answered ${contentType}, not text/event-stream`, { url, contentType });
    }
    this.#tell("live");
    const decoder = new Decoder();
    const reader = (response.body ?? new Blob().stream()).getReader();
    try {
      for (;;) {
        const { done, value } = await attempt.hear(reader.read());
        if (done) throw new Disconnected("The connection ended before the stream");
        const blocks = decoder.feed(value);
        backoff.retry = decoder.retry ?? backoff.retry;
        for (const block of blocks) {
          const event = cursor.take(block, decoder.retry);
          if (event !== undefined) {
            backoff.failures = 0;
            this.number = cursor.number;
            yield event as Event;
          }
          if (cursor.over) return;
        }
      }
    } finally {
      reader.cancel().catch(() => {}); // it may have broken
    }
  }

  #end(): void {
    this.status = this.#cursor.status;
    this.#tell("ended");
  }

  #tell(connection: Connection, reconnect?: Reconnect): void {
    this.#connection = connection;
    this.#options.onConnection?.(connection, reconnect);
  }
}
