export { Client, type StartOptions } from "./client.js";
export {
  AnswerRefused,
  ClientError,
  Disconnected,
  ExecutionFailed,
  MalformedEvent,
  NotAnEventStream,
  RequestFailed,
  TooManyResets,
  Unreachable,
  type Problem,
} from "./errors.js";
export type * from "./events.js";
export { reduce, type EndEvent } from "./reduce.js";
export type { Auth, Options } from "./requests.js";
export { Run, type Handlers, type RequestOptions } from "./run.js";
export { initialState, type Call, type CallStatus, type Numbered, type State } from "./state.js";
export { EventStream, type Connection, type Reconnect, type StreamOptions } from "./stream.js";
export type { EventOf, ExecutionOf, Input, Name, Question, ResetEvent, ResultOf } from "./types.js";
