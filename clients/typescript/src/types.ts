import type { Event, Execution as AnyExecution, InputForm, Reset } from "./events.js";

/** What an execution asks, as an event or `about()` says it. */
export interface Question {
  /** Its number in the execution, from 1. */
  readonly n: number;
  /** The call that asks. */
  readonly address: string;
  readonly message: string;
  /** What the answer may be. */
  readonly response_schema: InputForm;
  /** When it closes by itself (RFC 3339), if it does. */
  readonly expires?: string | null | undefined;
  /** Who may answer besides the owner. */
  readonly to?: string | null | undefined;
}

/** What the server says in place of events that it does not have any more. */
export interface ResetEvent extends Omit<Reset, "reason"> {
  event_type: "reset";
  /** `trimmed`: the oldest events are not kept. Any other: all earlier events are void. */
  reason: Reset["reason"] | (string & {});
  /** The number of the event that follows. */
  first: number;
}

/** A route that starts an actor, as openapi-typescript describes it. */
interface Start<Event, Execution> {
  post: {
    requestBody?: unknown;
    responses: {
      200: { content: { "text/event-stream": Event } };
      202: { content: { "application/json": Execution } };
    };
  };
}

type LastSegment<Path> = Path extends `${string}/${infer Rest}` ? LastSegment<Rest> : Path;

/** The routes that start actors, by the name of the actor. */
export type Actors<Paths> = {
  [Path in keyof Paths as Paths[Path] extends Start<unknown, unknown> ? LastSegment<Path> & string : never]: Paths[Path];
};

/** The names of the actors; any text where the paths are not known. */
export type Name<Paths> = unknown extends Paths ? string : keyof Actors<Paths> & string;

type Route<Paths, Actor> = Actor extends keyof Actors<Paths> ? Actors<Paths>[Actor] : unknown;

/** The arguments of `start` after the name: the input, where the actor needs one. */
export type Input<Paths, Actor> =
  Route<Paths, Actor> extends { post: { requestBody: { content: { "application/json": infer Body } } } }
    ? [input: Body]
    : Route<Paths, Actor> extends { post: { requestBody?: { content: { "application/json": infer Body } } } }
      ? [input?: Body]
      : [input?: unknown];

/** The union of the events of an actor. */
export type EventOf<Paths, Actor> = Route<Paths, Actor> extends Start<infer Found, unknown> ? Found : Event;

/** What is known of an execution of an actor. */
export type ExecutionOf<Paths, Actor> = Route<Paths, Actor> extends Start<unknown, infer Found> ? Found : AnyExecution;

/** What an actor returns: null if it may have returned nothing. */
export type ResultOf<Event> =
  Extract<Event, { event_type: "complete" }> extends infer Complete
    ? Complete extends { result: infer Result }
      ? Result
      : Complete extends { result?: infer Result }
        ? Result | null
        : never
    : never;
