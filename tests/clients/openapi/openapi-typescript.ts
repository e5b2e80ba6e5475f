import type { components, paths } from "./generated";

type Schemas = components["schemas"];
export type Chart = Schemas["Chart"];
export type End = Schemas["End"];
export type Event = Schemas["Event"];
export type Execution = Schemas["Execution"];
export type ExecutionEvent = Schemas["ExecutionEvent"];
export type Goodbye = Schemas["Goodbye"];
export type InputField = Schemas["InputField"];
export type InputForm = Schemas["InputForm"];
export type Problem = Schemas["Problem"];
export type Report = Schemas["Report"];
export type ResearchEvent = Schemas["ResearchEvent"];
export type ResearchExecution = Schemas["ResearchExecution"];
export type Reset = Schemas["Reset"];
export type Topic = Schemas["Topic"];

type Responses = paths["/research"]["post"]["responses"];
export type ResearchStatus = keyof Responses;
export type Research = {
  200: Responses[200]["content"]["text/event-stream"];
  202: Responses[202]["content"]["application/json"];
  422: Responses[422]["content"]["application/problem+json"];
};
