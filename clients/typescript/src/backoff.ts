import { RequestFailed, Unreachable } from "./errors.js";

const LONGEST_DELAY = 15_000;

/** What a server, or a proxy before it, may answer now and not in a moment. */
const TEMPORARY = [408, 425, 429, 500, 502, 503, 504];

/** Returns whether a request may succeed when it is repeated. */
export function isTemporary(error: unknown, statuses = TEMPORARY): error is Unreachable | RequestFailed {
  return error instanceof Unreachable || (error instanceof RequestFailed && statuses.includes(error.status));
}

/** How long to wait before the next try, and when to give up. */
export class Backoff {
  /** Milliseconds before the first try again, as the server has told. */
  retry = 1000;
  /** How many tries in a row have failed. */
  failures = 0;

  #since: number | undefined;

  constructor(
    /** Milliseconds of failures in a row after which it gives up. */
    readonly giveUpAfter: number,
  ) {}

  /** Says that the server can be reached. */
  reached(): void {
    this.#since = undefined;
  }

  /**
   * Returns the milliseconds to wait after an error.
   *
   * @throws {Unreachable} It is time to give up.
   */
  delayAfter(error: Unreachable | RequestFailed): number {
    const now = Date.now();
    this.#since ??= now;
    if (now - this.#since >= this.giveUpAfter) {
      throw new Unreachable(`Gave up after ${this.giveUpAfter / 1000} s: ${error.message}`, { cause: error });
    }
    const asked = error.retryAfter;
    // Clients that were cut off together must not come back together.
    const usual = Math.min(Math.max(this.retry, 1) * 2 ** this.failures, LONGEST_DELAY) * (0.5 + Math.random() / 2);
    // A connection that the server has ended on purpose is no failure.
    if (asked === undefined || error instanceof RequestFailed) this.failures += 1;
    // The last try is at the end of that time.
    return Math.min(asked ?? usual, this.#since + this.giveUpAfter - now);
  }
}
