import { AnswerRefused, type Problem, RequestFailed } from "./errors.js";

const LONGEST_WAIT = 60_000;

/** Returns the error for a response that is not ok. */
export async function refusal(response: Response, url: string): Promise<RequestFailed> {
  const { status, headers } = response;
  const problem: Problem = (await response.json().catch(() => null)) ?? {};
  const { title = `${url} answered ${status}`, detail, errors, action, by } = problem;
  const invalid = Array.isArray(errors) ? errors.map(({ loc, msg }) => `${[loc].flat().join(".")}: ${msg}`) : [];
  const message = [title, detail, ...invalid].filter(Boolean).join("\n");
  const facts = { status, url, problem, ...(action && { action, by }), retryAfter: milliseconds(headers.get("retry-after")) };
  return new (action ? AnswerRefused : RequestFailed)(message, facts);
}

/** The value of `Retry-After`, seconds or a date, in milliseconds; at most a minute, and none of 0. */
function milliseconds(value: string | null): number | undefined {
  const wait = isNaN(+value!) ? Date.parse(value!) - Date.now() : +value! * 1000;
  return wait > 0 ? Math.min(wait, LONGEST_WAIT) : undefined;
}
