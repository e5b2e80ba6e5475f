// Time that passes only when nothing else happens, and a server that answers from a list.
import { mock } from "node:test";

const MOST_STEPS = 5000;

interface Timer {
  due: number;
  fire: () => void;
}

/** Timers of the global functions, which fire in their order without waiting. */
export class Time {
  now = 1_800_000_000_000;
  /** Milliseconds by which timers fire late: the page is suspended meanwhile. */
  late = 0;
  readonly #timers = new Map<number, Timer>();
  #count = 0;
  #running = true;

  /** Runs a function in this time. */
  static async run<T>(inside: (time: Time) => Promise<T>): Promise<T> {
    const time = new Time();
    const { setImmediate } = globalThis;
    mock.method(Date, "now", () => time.now);
    mock.method(Math, "random", () => 1);
    mock.method(globalThis, "setTimeout", (fire: () => void, wait = 0) => time.#add(fire, wait));
    mock.method(globalThis, "clearTimeout", (id: number) => time.#timers.delete(id));
    let steps = 0;
    let stop = (_: Error): void => {};
    const endless = new Promise<never>((_, reject) => (stop = reject));
    const pump = (): void => {
      if (!time.#running) return;
      if ((steps += 1) > MOST_STEPS) return stop(new Error("it never ends"));
      // Streams need several turns to pass on what they have.
      setImmediate(() => setImmediate(() => setImmediate(() => (time.#step(), pump()))));
    };
    pump();
    try {
      return await Promise.race([inside(time), endless]);
    } finally {
      time.#running = false;
      mock.restoreAll();
    }
  }

  #add(fire: () => void, wait: number): number {
    this.#timers.set((this.#count += 1), { fire, due: this.now + wait });
    return this.#count;
  }

  #step(): void {
    let next: [number, Timer] | undefined;
    for (const entry of this.#timers) if (!next || entry[1].due < next[1].due) next = entry;
    if (!next) return;
    this.#timers.delete(next[0]);
    this.now = Math.max(this.now, next[1].due + this.late);
    next[1].fire();
  }

  get timers(): number {
    return this.#timers.size;
  }
}

/** In the parts of a stream: the connection breaks; nothing comes any more; time passes. */
export const BREAK: unique symbol = Symbol("break");
export const HANG: unique symbol = Symbol("hang");
export const wait = (milliseconds: number): (() => Promise<void>) => () => new Promise((done) => setTimeout(done, milliseconds));

type Part = string | Uint8Array | typeof BREAK | typeof HANG | (() => Promise<void>);
export type Answer = Response | Error | typeof HANG | ((request: Request, server: Server) => Response);

export interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** A server that answers each next request with the next answer, and the last one for ever. */
export class Server {
  readonly requests: Asked[] = [];
  /** Streams that are open now. */
  open = 0;
  readonly #answers: Answer[];

  constructor(...answers: Answer[]) {
    this.#answers = answers;
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const request = new Request(url, { ...init, signal: null });
    const { pathname, search } = new URL(request.url);
    const headers = Object.fromEntries(request.headers);
    this.requests.push({ method: request.method, path: pathname + search, headers, body: await request.clone().text() });
    const answer = this.#answers.length > 1 ? this.#answers.shift()! : this.#answers[0]!;
    if (answer === HANG) return new Promise(() => {});
    if (answer instanceof Error) throw answer;
    return answer instanceof Response ? answer.clone() : answer(request, this);
  };

  /** The ids after which the streams were asked for. */
  get ids(): (string | undefined)[] {
    return this.requests.filter(({ path }) => path.endsWith("/events")).map(({ headers }) => headers["last-event-id"]);
  }
}

/** Answers with a stream of these parts, which then ends. */
export function stream(...parts: Part[]): (request: Request, server: Server) => Response {
  return (_, server) => {
    const left = [...parts];
    server.open += 1;
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      const part = left.shift();
      if (part === HANG) return new Promise(() => {});
      if (typeof part === "function") return part().then(() => controller.enqueue(encode(": keep-alive\n")));
      if (typeof part === "string") return controller.enqueue(encode(part));
      if (part instanceof Uint8Array) return controller.enqueue(part);
      server.open -= 1;
      return part === BREAK ? controller.error(new TypeError("terminated")) : controller.close();
    };
    const body = new ReadableStream({ pull, cancel: () => void (server.open -= 1) }, { highWaterMark: 0 });
    return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
  };
}

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });

/** A block of an event; `number` is an id as it stands, or the number in one. */
export const block = (event: object, number?: number | string): string =>
  `data: ${JSON.stringify(event)}\n${number === undefined ? "" : `id: ${typeof number === "number" ? `x:${number}` : number}\n`}\n`;

export const log = (number: number): { event_type: "log"; message: string } => ({ event_type: "log", message: `№ ${number}` });

/** The blocks of some log events. */
export const logs = (first: number, last: number): string =>
  Array.from({ length: last - first + 1 }, (_, index) => block(log(first + index), first + index)).join("");

export const named = (event: string, data: unknown, retry?: number): string =>
  `event: ${event}\n${retry === undefined ? "" : `retry: ${retry}\n`}data: ${JSON.stringify(data)}\n\n`;

export const COMPLETE = { event_type: "complete", message: "Done", result: 42 };
export const END = named("end", { status: "completed" });
