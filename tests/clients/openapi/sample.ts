// What a front end writes with the types of any of the generators: tsc --strict checks it.
import type {
  Chart,
  End,
  Event,
  Execution,
  ExecutionEvent,
  Goodbye,
  InputField,
  InputForm,
  Problem,
  Report,
  Research,
  ResearchEvent,
  ResearchExecution,
  ResearchStatus,
  Reset,
  Topic,
} from "./names";

function never(value: never): never {
  throw new Error(`unknown: ${JSON.stringify(value)}`);
}

export function told(event: ResearchEvent): string {
  switch (event.event_type) {
    case "agent_call":
    case "tool_call":
    case "llm_call":
      return call(event);
    case "log":
      return `${event.level.toUpperCase()} ${event.message}`;
    case "text_delta":
    case "reasoning_delta":
      return event.delta.trim();
    case "progress":
      return `${event.current.toFixed()} of ${event.total?.toFixed() ?? "?"} ${event.message ?? ""}`;
    case "state":
      return JSON.stringify(event.state);
    case "conversation":
      return `${event.thread} ${event.run} ${event.messages.map((message) => message["role"])}`;
    case "custom":
      return `${event.name} ${JSON.stringify(event.data)}`;
    case "input_request":
      return `${event.n.toFixed()} ${event.message} ${fields(event.response_schema)} ${event.expires} ${event.to}`;
    case "input_answer":
      return closed(event.action);
    case "chart":
      return chart(event);
    case "complete":
      return report(event.result);
    case "error":
    case "cancelled":
    case "lost":
      return `${event.message} ${event.timestamp}`;
    default:
      return never(event);
  }
}

function call(event: ExecutionEvent): string {
  const { actor, address, detail, from_cache, input, output, usage } = event;
  const about = [actor, address, detail, from_cache, input, output, usage?.input_tokens];
  switch (event.execution_status) {
    case "started":
    case "completed":
    case "recovered":
    case "cancelled":
    case "lost":
      return about.join(" ");
    case "failed":
      return `${about} ${event.message?.trim()} ${event.execution_time?.toFixed()}`;
    case "retrying":
      return `${about} ${event.attempt?.toFixed()} ${event.delay?.toFixed()}`;
    default:
      return never(event.execution_status);
  }
}

function fields(form: InputForm): string[] {
  if (form.type !== "object") return [field(form, false)];
  return Object.entries(form.properties).map(([name, each]) => field(each, form.required?.includes(name)));
}

function field(field: InputField, required = false): string {
  const { title, description } = field;
  const about = `${title?.trim()} ${description?.trim()} ${required}`;
  switch (field.type) {
    case "boolean":
      return `${about} ${field.default === true}`;
    case "integer":
    case "number":
      return `${about} ${field.minimum?.toFixed()} ${field.maximum?.toFixed()} ${field.enum?.join()}`;
    case "string":
      return `${about} ${field.format} ${field.maxLength} ${field.enum?.join()} ${field.enumNames?.join()} ${field.oneOf?.[0]?.title.trim()}`;
    case "array":
      return `${about} ${field.items.enum?.join()} ${field.items.anyOf?.[0]?.title.trim()} ${field.maxItems} ${field.default?.join()}`;
    default:
      return never(field);
  }
}

function closed(action: "accept" | "decline" | "expired" | "cancelled"): string {
  const words: Record<typeof action, string> = {
    accept: "was answered",
    decline: "was declined",
    expired: "nobody has answered",
    cancelled: "nobody waits",
  };
  return words[action];
}

function chart({ points }: Chart): string {
  return points.map((point) => point.toFixed()).join(" ");
}

function report({ title, score, tags }: Report): string {
  return `${title.trim()} ${score?.toFixed() ?? ""} ${tags.join()}`;
}

export function named(name: "reset" | "goodbye" | "end", data: string): string {
  switch (name) {
    case "reset": {
      const { reason, first }: Reset = JSON.parse(data);
      const void_: Record<typeof reason, boolean> = {
        trimmed: false,
        future: true,
        foreign: true,
        malformed: true,
      };
      return `${void_[reason]} ${first.toFixed()}`;
    }
    case "goodbye": {
      const { reason }: Goodbye = JSON.parse(data);
      const again: Record<typeof reason, string> = {
        draining: "restarts",
        max_duration: "is over",
        backlog: "is slow",
      };
      return again[reason];
    }
    case "end": {
      const { status }: End = JSON.parse(data);
      return ended(status);
    }
  }
}

export function ended(status: Execution["status"]): string {
  const words: Record<typeof status, string> = {
    started: "runs",
    completed: "has a result",
    failed: "has raised",
    cancelled: "was cancelled",
    lost: "died",
  };
  return words[status];
}

export function stands(execution: Execution): string {
  const { id, status, created, ended, error, progress, last, viewers, links } = execution;
  const rest = [id, status, created, ended?.trim(), error?.trim(), last.toFixed(), viewers];
  const path: string = links.self + links.events + links.cancel;
  const total: number | null | undefined = progress?.total;
  switch (execution.actor) {
    case "research":
      return `${rest} ${path} ${total} ${execution.result && report(execution.result)}`;
    case "count":
      return `${rest} ${execution.result?.toFixed()}`;
    default:
      return never(execution);
  }
}

/** A client that does not know the actor has the results of all. */
export function result(event: Event): number | Report | undefined {
  return event.event_type === "complete" ? event.result : undefined;
}

export const statuses: Record<ResearchStatus, "stream" | "json" | "problem"> = {
  200: "stream",
  202: "json",
  400: "problem",
  401: "problem",
  403: "problem",
  404: "problem",
  408: "problem",
  409: "problem",
  410: "problem",
  413: "problem",
  415: "problem",
  422: "problem",
  429: "problem",
  500: "problem",
  503: "problem",
};

export function refused(problem: Research[422]): string {
  const same: Problem = problem;
  const errors = same.errors?.map(({ loc, msg, type }) => `${loc.join(".")} ${msg} ${type}`);
  return `${same.status.toFixed()} ${same.title} ${same.detail} ${same.type} ${errors}`;
}

export const begun = (execution: Research[202]): ResearchExecution => execution;
export const streamed = (event: Research[200]): ResearchEvent => event;
export const inputs: Topic[] = [{ topic: "tea" }, { topic: "tea", depth: 2 }];

// What is wrong does not compile.

// @ts-expect-error: a topic is needed
export const nothing: Topic = {};
// @ts-expect-error: it is a text
export const number: Topic = { topic: 3 };

export function wrong(event: ResearchEvent, execution: ResearchExecution): void {
  if (event.event_type === "log") {
    // @ts-expect-error: a line of the log has no delta
    event.delta;
  }
  if (event.event_type === "complete") {
    // @ts-expect-error: the result is a report
    event.result.toFixed();
  }
  // @ts-expect-error: there is no such type
  if (event.event_type === "news") return;
  // @ts-expect-error: there is no such status
  if (execution.status === "paused") return;
  // @ts-expect-error: it may not have ended
  execution.result.title;
}
