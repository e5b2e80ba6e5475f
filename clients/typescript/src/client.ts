import { type Options, Requests } from "./requests.js";
import { Run } from "./run.js";
import type { EventOf, ExecutionOf, Input, Name } from "./types.js";

/** When a start is repeated with its key: nothing has started, or only the answer is lost. */
const NOT_STARTED = [429, 502, 503, 504];

export interface StartOptions {
  /** The same key starts the same execution; the client makes one for each call. */
  key?: string | undefined;
  /** The thread of the caller that it continues; one execution of a thread runs at a time. */
  thread?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Starts, watches and cancels executions of one server.
 *
 *     const client = new Client("/events", { auth: async () => ({ Authorization: `Bearer ${await token()}` }) });
 *     const run = await client.start("research", { topic: "tea" });
 *     for await (const event of run.events()) console.log(event);
 *
 * `Client<paths>`, with what openapi-typescript makes of `/openapi.json`, knows the actors, their
 * inputs, events and results.
 */
export class Client<Paths = unknown> {
  readonly #requests: Requests;

  /**
   * @param url Where the routes are. In a browser it may be relative to the page.
   */
  constructor(url: string | URL, options: Options = {}) {
    this.#requests = new Requests(url, options);
  }

  /**
   * Starts an actor, once: a start whose answer is lost is repeated with the same key.
   *
   * @throws {RequestFailed} The server has refused it.
   */
  async start<Actor extends Name<Paths>>(
    actor: Actor,
    ...[input, options]: [...Input<Paths, Actor>, options?: StartOptions]
  ): Promise<Run<EventOf<Paths, Actor>, ExecutionOf<Paths, Actor>>> {
    const { key = randomKey(), thread, signal } = (options ?? {}) as StartOptions;
    const { id } = await this.#requests.json(
      `/${encodeURIComponent(actor)}${thread === undefined ? "" : `?thread=${encodeURIComponent(thread)}`}`,
      { method: "POST", headers: { "idempotency-key": key }, body: input },
      signal,
      NOT_STARTED,
    );
    return new Run(this.#requests, id);
  }

  /** Returns the execution with this id. Sends nothing: a wrong id is an error when it is used. */
  run<Actor extends Name<Paths> = Name<Paths>>(id: string): Run<EventOf<Paths, Actor>, ExecutionOf<Paths, Actor>> {
    return new Run(this.#requests, id);
  }
}

/** 128 random bits; crypto.randomUUID is missing on plain http other than localhost. */
const randomKey = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");
