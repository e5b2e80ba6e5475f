import { ExecutionFailed, type ClientError } from "./errors.js";
import type { AskedInput, Event as AnyEvent, Execution as AnyExecution } from "./events.js";
import { pathOf, type Requests } from "./requests.js";
import { EventStream, type StreamOptions } from "./stream.js";
import type { ResetEvent, ResultOf } from "./types.js";

export interface RequestOptions {
  signal?: AbortSignal | undefined;
}

/** What `subscribe` calls, in the order of the events. */
export interface Handlers<Event> {
  /** Gets each event with its number; a reset too, if `onReset` is not given. */
  onEvent?: ((event: Event | ResetEvent, number: number) => void) | undefined;
  onReset?: ((event: ResetEvent) => void) | undefined;
  onConnection?: StreamOptions["onConnection"];
  /** Gets the status that the execution has ended with. */
  onEnd?: ((status: string) => void) | undefined;
  /** Gets what the stream cannot go on after; without it, nobody has handled the error. */
  onError?: ((error: ClientError | unknown) => void) | undefined;
}

/** An execution on the server. */
export class Run<Event = AnyEvent, Execution = AnyExecution> {
  readonly #requests: Requests;
  readonly #path: string;

  constructor(
    requests: Requests,
    readonly id: string,
  ) {
    this.#requests = requests;
    this.#path = pathOf(id);
    // A path cannot have these as a segment.
    if (/^\.{0,2}$/.test(id)) throw new RangeError("id must be an id");
  }

  /**
   * Returns the events as an async iterator, which reconnects by itself.
   *
   * A reset of the server is an event too, `{event_type: "reset", reason, first}`.
   */
  events(options: StreamOptions = {}): EventStream<Event> {
    return new EventStream(this.#requests, this.id, options);
  }

  /** Calls handlers with what `events()` yields. Returns a function that detaches. */
  subscribe(handlers: Handlers<Event>, options: Omit<StreamOptions, "onConnection"> = {}): () => void {
    const { onEvent, onReset, onConnection, onEnd, onError } = handlers;
    const stream = this.events({ ...options, onConnection });
    const deliver = async (): Promise<void> => {
      for await (const event of stream) {
        if (onReset && (event as ResetEvent | null)?.event_type === "reset") onReset(event as ResetEvent);
        else onEvent?.(event, stream.number);
      }
      if (stream.status) onEnd?.(stream.status);
    };
    deliver().catch(onError); // without a handler it is an error that nobody has handled
    return () => void stream.return();
  }

  /**
   * Waits for the end, and returns what the actor returned.
   *
   * @throws {ExecutionFailed} It has failed, was cancelled, or is lost.
   */
  async result({ signal }: RequestOptions = {}): Promise<ResultOf<Event>> {
    let about = (await this.about({ signal })) as AnyExecution;
    if (about.status === "started") {
      const stream = this.events({ after: about.last, signal });
      for await (const _ of stream);
      about = (await this.about({ signal })) as AnyExecution;
    }
    if (about.status === "completed") return about.result as ResultOf<Event>;
    throw new ExecutionFailed(about.error ?? about.status, { id: this.id, status: about.status });
  }

  /** Returns how it stands: its status, its result, the number of its newest event. */
  about({ signal }: RequestOptions = {}): Promise<Execution> {
    return this.#requests.json(this.#path, {}, signal);
  }

  /** Cancels it, and returns how it stands; its last event is still to come. */
  cancel({ signal }: RequestOptions = {}): Promise<Execution> {
    return this.#requests.json(this.#path, { method: "DELETE" }, signal);
  }

  /** Returns a question: what it asks, and what has closed it. Whom it is `to` sees no more than that. */
  question(n: number, options?: RequestOptions): Promise<AskedInput> {
    return this.#input(n, undefined, options);
  }

  /**
   * Answers a question, and returns it. It is repeated when the response is lost: the same answer
   * counts once.
   *
   * @param content What fits its `response_schema`.
   * @throws {AnswerRefused} Another answer was first, or nobody waits for one any more.
   * @throws {RequestFailed} With the status 422 the content does not fit: see `problem.errors`.
   */
  answer(n: number, content: unknown, options?: RequestOptions): Promise<AskedInput> {
    return this.#input(n, { action: "accept", content }, options);
  }

  /** Declines to answer a question, as `answer` does. */
  decline(n: number, options?: RequestOptions): Promise<AskedInput> {
    return this.#input(n, { action: "decline" }, options);
  }

  #input(n: number, body: object | undefined, { signal }: RequestOptions = {}): Promise<AskedInput> {
    return this.#requests.json(`${this.#path}/inputs/${n}`, body ? { method: "POST", body } : {}, signal);
  }
}
