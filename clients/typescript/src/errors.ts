/**
 *     ClientError
 *      ├── RequestFailed       the server has refused a request
 *      │    └── AnswerRefused  a question has another answer, or is not open any more
 *      ├── Unreachable         no answer, or none for so long that the client gives up
 *      │    └── Disconnected   a connection broke; what `onConnection` is told
 *      ├── NotAnEventStream    an answer that is not the stream, a page say
 *      ├── MalformedEvent      an event that is not JSON
 *      ├── TooManyResets       a server that begins again and again
 *      └── ExecutionFailed     what `result()` throws for an execution without one
 */

import type { InputAnswerEvent } from "./events.js";

/** The base of all errors of this package; `cause` is the error behind it, if there is one. */
export class ClientError extends Error {
  override name = "ClientError";

  /**
   * @param facts The members that an error of this class has.
   */
  constructor(message: string, facts?: object) {
    super(message);
    Object.assign(this, facts);
  }
}

/** The body of a refusal (RFC 9457). */
export interface Problem {
  title?: string;
  detail?: string;
  errors?: { loc: (string | number)[]; msg: string }[];
  /** What has closed a question. */
  action?: AnswerRefused["action"];
  by?: string | null;
}

/** The server has refused a request; the message has the words of its problem. */
export class RequestFailed extends ClientError {
  override name = "RequestFailed";
  declare readonly status: number;
  declare readonly url: string;
  declare readonly problem: Problem;
  /** Milliseconds that the server asks to wait, if it does. */
  declare readonly retryAfter: number | undefined;
}

/** An answer came too late: the status is 409 where another answer stands, else 410. */
export class AnswerRefused extends RequestFailed {
  override name = "AnswerRefused";
  /** What has closed the question: `accept` or `decline`, else `expired` or `cancelled`. */
  declare readonly action: InputAnswerEvent["action"];
  /** Whose answer stands, if the server knows. */
  declare readonly by: string | null | undefined;
}

/** The server cannot be reached. */
export class Unreachable extends ClientError {
  override name = "Unreachable";
  /** Milliseconds until the next try, where the usual delay is not right. */
  declare readonly retryAfter: number | undefined;
}

/** A connection has ended before its stream; the client comes back. */
export class Disconnected extends Unreachable {
  override name = "Disconnected";
  /** Whether an event was missing, so that the connection counts for nothing. */
  declare readonly gap?: true;
}

/** An answer of 200 that is not an event stream. */
export class NotAnEventStream extends ClientError {
  override name = "NotAnEventStream";
  declare readonly url: string;
  declare readonly contentType: string | null;
}

/** The data of an event is not JSON. */
export class MalformedEvent extends ClientError {
  override name = "MalformedEvent";
  declare readonly id: string;
}

/** The server sends a reset again and again, and no event that is new. */
export class TooManyResets extends ClientError {
  override name = "TooManyResets";
}

/** The execution has ended without a result; the message is the server's. */
export class ExecutionFailed extends ClientError {
  override name = "ExecutionFailed";
  declare readonly id: string;
  /** `failed`, `cancelled` or `lost`. */
  declare readonly status: string;
}
