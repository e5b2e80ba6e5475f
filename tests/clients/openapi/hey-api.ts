import { startResearch, streamExecution } from "./generated";
import type {
  ResearchEvent,
  StartResearchErrors,
  StartResearchResponses,
} from "./generated";

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
export type Research = StartResearchResponses & StartResearchErrors;
export type ResearchStatus = keyof Research;

export async function* texts(): AsyncGenerator<string> {
  const { stream } = await startResearch({
    body: { topic: "tea" },
    headers: { Accept: "text/event-stream" },
  });
  for await (const event of stream) {
    if ("event_type" in event && event.event_type === "text_delta") yield event.delta;
  }
}

export async function* again(id: string): AsyncGenerator<ResearchEvent["event_type"]> {
  const { stream } = await streamExecution({ path: { id } });
  for await (const event of stream) if (event) yield event.event_type;
}
