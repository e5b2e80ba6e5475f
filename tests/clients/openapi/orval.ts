import { cancelExecution, getExecution, startResearch } from "./generated";
import type { Execution, startResearchResponse } from "./generated";

export type {
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
  ResearchEvent,
  ResearchExecution,
  Reset,
  Topic,
} from "./generated";
type Response = startResearchResponse;
export type ResearchStatus = Response["status"];
export type Research = {
  [Status in ResearchStatus]: Extract<Response, { status: Status }>["data"];
};

export async function run(): Promise<Execution | string> {
  const started = await startResearch({ topic: "tea" });
  if (started.status !== 202) return `${started.status}`;
  const { id } = started.data;
  const found = await getExecution(id, { wait: 1 });
  const { status } = await cancelExecution(id);
  return found.status === 200 ? found.data : `${status}`;
}
