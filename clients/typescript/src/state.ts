import type { CustomEvent, InputRequestEvent, LogEvent, ProgressEvent, Usage } from "./events.js";

/**
 * How a call stands. `pending`: only its children are known. `unfinished`: it was still open when
 * the execution ended.
 */
export type CallStatus =
  | "pending"
  | "started"
  | "retrying"
  | "completed"
  | "recovered"
  | "failed"
  | "cancelled"
  | "unfinished"
  | (string & {});

/** A call in the tree of calls. */
export interface Call {
  /** The path in the tree, `survey/measure#2`. */
  readonly address: string;
  readonly name: string;
  /** `agent`, `tool` or `llm`; empty while it is pending. */
  readonly kind: string;
  readonly status: CallStatus;
  readonly detail?: string | undefined;
  /** The error of a call that has failed, or is tried again. */
  readonly message?: string | undefined;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly usage?: Usage | undefined;
  /** The number of the attempt that has failed, while it is tried again. */
  readonly attempt?: number | undefined;
  /** Seconds until the next attempt. */
  readonly delay?: number | undefined;
  /** How many seconds it took. */
  readonly seconds?: number | undefined;
  readonly children: readonly Call[];
}

/** An event with its number, which is a key for a list. */
export type Numbered<Event> = Event & { readonly number: number };

/** What a viewer can show of an execution. */
export interface State<Result = unknown> {
  /** The calls that no other call has made. */
  readonly tree: readonly Call[];
  /** The text of each address, in the order in which the texts have begun. */
  readonly text: Readonly<Record<string, string>>;
  /** What a model says that it thinks, in the same way. */
  readonly reasoning: Readonly<Record<string, string>>;
  /** The newest progress of any call. */
  readonly progress: ProgressEvent | null;
  /** The questions that wait for an answer, in the order in which they were asked. */
  readonly waiting: readonly InputRequestEvent[];
  readonly logs: readonly Numbered<LogEvent>[];
  readonly custom: readonly Numbered<CustomEvent>[];
  /** The newest state that a call has shared; undefined before the first. */
  readonly state: unknown;
  /** `started` from the first event; then `completed`, `failed`, `cancelled` or `lost`. */
  readonly status: string | null;
  /** What the server says of an end that is none of `completed`. */
  readonly error: string | null;
  /** What the actor has returned. */
  readonly result: Result | null;
  /** How many events are in this state. */
  readonly count: number;
  /** The number of the newest event. */
  readonly last: number;
}

/** The state before any event. */
export const initialState: State<never> = Object.freeze({
  tree: [],
  text: {},
  reasoning: {},
  progress: null,
  waiting: [],
  logs: [],
  custom: [],
  state: undefined,
  status: null,
  error: null,
  result: null,
  count: 0,
  last: 0,
});
