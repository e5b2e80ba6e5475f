import { ClientError, Disconnected } from "./errors.js";

/** A timer that fires so much late was held back, with the page or the machine. */
const LATE = 1000;

/** A timer that is longer fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * One connection, with the wait before it. Whatever waits in it ends when the viewer leaves, when
 * the peer is silent for too long, and when it is given up.
 */
export class Attempt {
  readonly #controller = new AbortController();

  constructor(
    /** Milliseconds without a byte after which the peer is taken for dead. */
    readonly stallTimeout: number,
    outer?: AbortSignal,
  ) {
    const leave = (): void => this.abort(outer!.reason);
    if (outer?.aborted) leave();
    outer?.addEventListener("abort", leave, { signal: this.signal });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Closes the connection, if it is still open. */
  close(): void {
    this.abort(undefined);
  }

  /** Waits for what the peer sends next. */
  async hear<T>(promise: Promise<T>): Promise<T> {
    const stop = this.#watch();
    try {
      return await this.wait(promise);
    } catch (error) {
      if (this.signal.aborted) throw error;
      throw broken(error as Error);
    } finally {
      stop();
    }
  }

  /** Waits for something that is not the peer's, however long. */
  wait<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort);
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  sleep(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slept = new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.min(milliseconds, LONGEST_TIMER))));
    return this.wait(slept).finally(() => clearTimeout(timer));
  }

  /** Aborts after a silence; returns what stops that. */
  #watch(): () => void {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (wait: number, patient: boolean): void => {
      const due = Date.now() + wait;
      timer = setTimeout(() => {
        // A page that was suspended, or a machine that slept: what the peer has sent meanwhile may
        // not have been read yet, so it gets the time of one more heartbeat.
        if (patient && Date.now() - due > LATE) arm(this.stallTimeout / 3, false);
        else this.abort(new Disconnected(`No byte for ${this.stallTimeout / 1000} s`));
      }, wait);
    };
    arm(this.stallTimeout, true);
    return () => clearTimeout(timer);
  }
}

/** The error for what `fetch` says of a connection, which Node and Deno explain in its cause. */
function broken(cause: Error): ClientError {
  const { message, code } = (cause.cause ?? cause) as { message?: string; code?: string };
  const why = `Connection failed: ${message || code}`;
  // A browser does not tell a wrong certificate from any other failure.
  return new (/certificate/i.test(why) ? ClientError : Disconnected)(why, { cause });
}
