import { Attempt } from "./attempt.js";
import { Backoff, isTemporary } from "./backoff.js";
import { ClientError } from "./errors.js";
import { refusal } from "./problem.js";

type Fields = Headers | Record<string, string> | [string, string][]; // HeadersInit is not global in Node

/** What is sent with each request, or a function that is asked for it before each one. */
export type Auth = Fields | (() => Fields | Promise<Fields>);

export interface Options {
  /** Headers, or a function that returns them; a 401 asks it once more. */
  auth?: Auth | undefined;
  /** In place of the global `fetch`: for credentials, another HTTP client, or a test. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** Milliseconds without a byte after which a connection is taken for dead; 45,000. */
  stallTimeout?: number | undefined;
  /** Milliseconds without a connection, since the first failure, after which a stream gives up; it never does. */
  giveUpAfter?: number | undefined;
}

interface Init {
  method?: string;
  headers?: Record<string, string>;
  /** JSON. */
  body?: string;
}

/** How often a request is repeated that does not succeed; a stream is for ever. */
const MOST_REPEATS = 5;

/** The requests to one server. */
export class Requests {
  readonly stallTimeout: number;
  readonly giveUpAfter: number;
  readonly #base: string;
  readonly #options: Options;

  constructor(base: string | URL, options: Options) {
    this.#base = String(base).replace(/\/+$/, "");
    this.#options = options;
    const { stallTimeout = 45_000, giveUpAfter = Infinity } = options;
    if (!(stallTimeout > 0)) throw new RangeError("stallTimeout must be above 0");
    this.stallTimeout = stallTimeout;
    this.giveUpAfter = giveUpAfter;
  }

  /** Returns the JSON of a response, and repeats what fails for a moment. */
  async json(path: string, { body, ...more }: Omit<Init, "body"> & { body?: unknown }, signal?: AbortSignal, temporary?: number[]): Promise<any> {
    const init = { ...more, body: JSON.stringify(body) }; // once: the caller may change it meanwhile
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
  async jsonOf(path: string, init: Init, attempt: Attempt): Promise<any> {
    const response = await this.send(path, { ...init, headers: { accept: "application/json", ...init.headers } }, attempt);
    const text = await attempt.hear(response.text());
    try {
      const about = JSON.parse(text);
      if (about.status ?? about.n) return about;
    } catch {} // JSON of something else is no better
    throw new ClientError(`${this.#base + path} answered no execution: is it the URL of the routes?`);
  }

  /**
   * Returns a response that is ok.
   *
   * @throws {RequestFailed} It is not.
   * @throws {Unreachable} There is none.
   */
  async send(path: string, init: Init, attempt: Attempt): Promise<Response> {
    const url = resolve(this.#base + path);
    const { auth, fetch = globalThis.fetch } = this.#options;
    const ask = typeof auth === "function" && auth;
    for (let last = !ask; ; last = true) {
      const headers = headersOf(ask ? await attempt.wait(Promise.resolve(ask())) : (auth as Fields | undefined));
      if (init.body) headers.set("content-type", "application/json");
      for (const name in init.headers) headers.set(name, init.headers[name]!);
      attempt.signal.throwIfAborted();
      const response = await attempt.hear(fetch(url, { cache: "no-store", ...init, headers, signal: attempt.signal }));
      if (response.ok) return response;
      const failure = await attempt.hear(refusal(response, url));
      if (last || failure.status !== 401) throw failure;
    }
  }
}

/** Returns the path of an execution. */
export function pathOf(id: string): string {
  return `/executions/${encodeURIComponent(id)}`;
}

/** Returns headers. The error of `Headers` would repeat what it was given: a secret. */
function headersOf(given: Fields | undefined): Headers {
  try {
    return new Headers(given);
  } catch {
    throw new ClientError("auth must be headers");
  }
}

/** Resolves a URL against that of the page. Only when it is used: a server may import the module too. */
function resolve(url: string): string {
  let href = "";
  try {
    href = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {} // relative, and there is no page
  // `fetch` takes no password, and its error would repeat it.
  if (!/^https?:..[^@/]+\//.test(href)) throw new ClientError("URL must be http:// or https:// without a password");
  return href;
}
