import type { Block } from "./decoder.js";
import { Disconnected, MalformedEvent, TooManyResets } from "./errors.js";
import type { ResetEvent } from "./types.js";

const MOST_RESETS = 5;

/** The status that a terminal event stands for. */
export const STATUS: Record<string, string> = {
  complete: "completed",
  error: "failed",
  cancelled: "cancelled",
  lost: "lost",
};

/** What a viewer has of one execution: the rules of `docs/wire.md` for what comes next. */
export class Cursor {
  /** The status that the execution has ended with, once that is known. */
  status: string | null = null;
  /** Whether the server has said that nothing follows. */
  over = false;
  /** What the next request asks to continue after; empty for all events. */
  lastEventId: string;

  #highest: number;
  #resets = 0;

  constructor(
    readonly id: string,
    /** The number of the last event that the viewer has. */
    public number: number,
  ) {
    this.#highest = number;
    this.lastEventId = this.#idOf(number);
  }

  /**
   * Returns what the viewer is told, any JSON; undefined for what it has already.
   *
   * @param retry Milliseconds that the server has told to wait.
   * @throws {Disconnected} The connection is no use any more.
   * @throws {MalformedEvent} Data that is not JSON.
   * @throws {TooManyResets} A reset after many others.
   */
  take({ event, data, id }: Block, retry: number | undefined): unknown {
    const number = Number(/:(\d+)(:lost)?$/.exec(id)?.[1]); // NaN without one
    if (event && event !== "message" && isNaN(number)) return this.#takeNamed(event, () => parse(data, id || event), retry);
    if (number <= this.number) return undefined;
    if (number > this.number + 1) throw new Disconnected(`Event ${number} came after ${this.number}`, { gap: true });
    const json = parse(data, id) as { event_type?: string } | null;
    this.number = number || this.number;
    this.lastEventId = id || this.lastEventId;
    if (this.number > this.#highest) {
      this.#highest = this.number;
      this.#resets = 0;
    }
    this.status = STATUS[json?.event_type as string] ?? this.status;
    return json;
  }

  #takeNamed(event: string, json: () => unknown, retry: number | undefined): ResetEvent | undefined {
    if (event === "goodbye") throw new Disconnected("The server has said goodbye", { retryAfter: retry });
    if (event === "reset") return this.#reset(json() as Partial<ResetEvent> | null);
    if (event === "end") {
      this.over = true;
      this.status = (json() as { status?: string } | null)?.status ?? this.status;
    }
    return undefined; // of a newer server
  }

  #reset(told: Partial<ResetEvent> | null): ResetEvent {
    this.#resets += 1;
    if (this.#resets === MOST_RESETS) throw new TooManyResets(`The server sent ${MOST_RESETS} resets without a new event`);
    const { reason = "malformed", first = 1 } = told ?? {};
    this.status = null;
    this.number = Math.max(first - 1, 0);
    // What was sent is no good; a connection that breaks now must not bring a reset again.
    this.lastEventId = this.#idOf(this.number);
    return { event_type: "reset", reason, first };
  }

  #idOf(number: number): string {
    return number ? `${this.id}:${number}` : "";
  }
}

function parse(data: string, id: string): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new MalformedEvent(`The data of the event ${id} is not JSON`, { id, cause });
  }
}
