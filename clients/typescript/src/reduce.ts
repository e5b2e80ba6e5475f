import { STATUS } from "./cursor.js";
import { Draft } from "./draft.js";
import type { Event, ExecutionEvent } from "./events.js";
import { initialState, type State } from "./state.js";
import type { ResetEvent } from "./types.js";

/** Says to `reduce` how an execution has ended whose terminal event is not among the events. */
export interface EndEvent {
  event_type: "end";
  status: string;
}

/**
 * Returns the state after some more events, in their order: those that `events()` yields, and of
 * any other type, which only count.
 *
 * It changes nothing that it is given, and what the events do not change keeps its identity. The
 * first event is the one after `state.last`.
 */
export function reduce<Result = unknown>(
  state: State<Result>,
  events: readonly (Event | ResetEvent | EndEvent | { event_type: string })[],
): State<Result> {
  if (!events.length) return state;
  let draft = new Draft(state);
  for (const event of events) {
    // NOTE: anything that is JSON may come from a server that is newer.
    const type = (event as Event | null)?.event_type as string | undefined;
    if (type === "reset") {
      const { reason, first } = event as ResetEvent;
      if (reason !== "trimmed") draft = new Draft(initialState);
      draft.state.last = Math.max(first - 1, 0);
    } else if (type === "end") {
      if ((draft.state.status || "started") === "started") end(draft, (event as EndEvent).status);
    } else {
      draft.state.last += 1;
      draft.state.count += 1;
      draft.state.status ??= "started";
      add(draft, event as Event);
    }
  }
  return draft.state as State<Result>;
}

function add(draft: Draft, event: Event | null): void {
  const { state } = draft;
  switch (event?.event_type) {
    case "agent_call":
    case "tool_call":
    case "llm_call":
      addCall(draft, event);
      break;
    case "text_delta":
      write(draft, "text", event.address, event.delta);
      break;
    case "reasoning_delta":
      write(draft, "reasoning", event.address, event.delta);
      break;
    case "progress":
      state.progress = event;
      break;
    case "log":
      (state.logs = draft.own(state.logs)).push({ ...event, number: state.last });
      break;
    case "custom":
      (state.custom = draft.own(state.custom)).push({ ...event, number: state.last });
      break;
    case "state":
      state.state = event.state;
      break;
    case "input_request":
      state.waiting = [...state.waiting, event];
      break;
    case "input_answer":
      state.waiting = state.waiting.filter(({ n }) => n !== event.n);
      break;
    case "complete":
      state.result = event.result ?? null;
      end(draft, STATUS[event.event_type]!);
      break;
    case "error":
    case "cancelled":
    case "lost":
      state.error = event.message;
      end(draft, STATUS[event.event_type]!);
  }
}

function addCall(draft: Draft, event: ExecutionEvent): void {
  const call = draft.call(event.address);
  Object.assign(call, {
    name: event.actor,
    kind: event.event_type.replace("_call", ""),
    status: event.execution_status,
    detail: event.detail ?? call.detail,
    message: event.message,
    input: event.input ?? call.input,
    output: event.output,
    usage: event.usage,
    attempt: event.attempt,
    delay: event.delay,
    seconds: event.execution_time,
  });
  // What it has written is of an attempt that has failed; what it will write takes the same place.
  if (event.execution_status === "retrying") {
    for (const texts of ["text", "reasoning"] as const) {
      if (Object.hasOwn(draft.state[texts], event.address)) write(draft, texts, event.address);
    }
  }
}

/** Appends to the text of an address; without more text, makes it empty. */
function write(draft: Draft, texts: "text" | "reasoning", address: string, delta?: string): void {
  const own: Record<string, string> = (draft.state[texts] = draft.own(draft.state[texts]));
  // NOTE: an address may be `constructor`.
  own[address] = delta !== undefined && Object.hasOwn(own, address) ? own[address] + delta : (delta ?? "");
}

function end(draft: Draft, status: string): void {
  draft.state.status = status;
  draft.state.waiting = [];
  draft.close();
}
