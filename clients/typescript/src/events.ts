// Made of /openapi.json by `python -m tests.typescript.generated`; do not edit.
export interface components {
    schemas: {
        BooleanField: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "boolean";
            title?: string;
            description?: string;
            default?: boolean;
        };
        NumberField: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "integer" | "number";
            title?: string;
            description?: string;
            minimum?: number;
            maximum?: number;
            enum?: number[];
            default?: number;
        };
        TextField: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "string";
            title?: string;
            description?: string;
            minLength?: number;
            maxLength?: number;
            /** @enum {string} */
            format?: "date" | "date-time" | "email" | "uri";
            enum?: string[];
            enumNames?: string[];
            oneOf?: {
                const: string;
                title: string;
            }[];
            default?: string;
        };
        ListField: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "array";
            title?: string;
            description?: string;
            items: {
                type?: string;
                enum?: string[];
                anyOf?: {
                    const: string;
                    title: string;
                }[];
            };
            minItems?: number;
            maxItems?: number;
            uniqueItems?: boolean;
            default?: string[];
        };
        InputField: components["schemas"]["BooleanField"] | components["schemas"]["NumberField"] | components["schemas"]["TextField"] | components["schemas"]["ListField"];
        /** @description Several fields. An answer has a member for each. */
        InputFields: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "object";
            title?: string;
            description?: string;
            properties: {
                [key: string]: components["schemas"]["InputField"];
            };
            required?: string[];
        };
        /** @description What an answer may be, as JSON Schema: one field, or several of them. */
        InputForm: components["schemas"]["BooleanField"] | components["schemas"]["NumberField"] | components["schemas"]["TextField"] | components["schemas"]["ListField"] | components["schemas"]["InputFields"];
        /**
         * ExecutionStatus
         * @description The status of a call, or of a whole execution.
         * @enum {string}
         */
        ExecutionStatus: "started" | "retrying" | "completed" | "failed" | "cancelled" | "recovered" | "lost";
        /**
         * Usage
         * @description What the calls of models took; None for what is not known.
         */
        Usage: {
            input_tokens?: number;
            output_tokens?: number;
        };
        /** @description A call has begun, begins anew, or has ended. */
        ExecutionEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "agent_call" | "tool_call" | "llm_call";
            address: string;
            /** Format: date-time */
            timestamp: string;
            actor: string;
            execution_status: components["schemas"]["ExecutionStatus"];
            execution_time?: number;
            detail?: string;
            message?: string;
            from_cache: boolean;
            input?: unknown;
            output?: unknown;
            usage?: components["schemas"]["Usage"];
            attempt?: number;
            delay?: number;
        };
        /** @description One line of an actor's log. */
        LogEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "log";
            address: string;
            /** Format: date-time */
            timestamp: string;
            /** @enum {string} */
            level: "debug" | "info" | "warning" | "error";
            message: string;
        };
        /** @description A piece of text; the pieces of one address make up its text. */
        TextDelta: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "text_delta";
            address: string;
            /** Format: date-time */
            timestamp: string;
            delta: string;
        };
        /** @description A piece of what a model says that it thinks; not part of its text. */
        ReasoningDelta: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "reasoning_delta";
            address: string;
            /** Format: date-time */
            timestamp: string;
            delta: string;
        };
        /** @description Progress: ``current`` of ``total``, None if the total is not known. */
        ProgressEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "progress";
            address: string;
            /** Format: date-time */
            timestamp: string;
            current: number;
            total?: number;
            message?: string;
        };
        /** @description The whole state that a call shares with its viewers, as it is now. */
        StateEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "state";
            address: string;
            /** Format: date-time */
            timestamp: string;
            state?: unknown;
        };
        /** @description What an execution continues, so that every viewer can show all of it. */
        ConversationEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "conversation";
            address: string;
            /** Format: date-time */
            timestamp: string;
            thread: string;
            run: string;
            messages: {
                [key: string]: unknown;
            }[];
        };
        /** @description An event with a name of its own and any JSON. */
        CustomEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "custom";
            address: string;
            /** Format: date-time */
            timestamp: string;
            name: string;
            data?: unknown;
        };
        /** @description A call asks people something, and waits for the answer. */
        InputRequestEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "input_request";
            address: string;
            /** Format: date-time */
            timestamp: string;
            n: number;
            message: string;
            response_schema: components["schemas"]["InputForm"];
            /** Format: date-time */
            expires?: string;
            to?: string;
        };
        /** @description A question is closed, exactly once. */
        InputAnswerEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "input_answer";
            address: string;
            /** Format: date-time */
            timestamp: string;
            n: number;
            /** @enum {string} */
            action: "accept" | "decline" | "expired" | "cancelled";
            by?: string;
            content?: unknown;
        };
        /** @description The execution raised, or returned an ``ExecutionResult`` that is not ok. */
        ErrorEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "error";
            message: string;
            address: string;
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The execution was cancelled; ``message`` says why. */
        CancelledEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "cancelled";
            message: string;
            address: string;
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The process that ran the execution died. */
        LostEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "lost";
            message: string;
            address: string;
            /** Format: date-time */
            timestamp: string;
        };
        Reset: {
            /** @enum {string} */
            reason: "trimmed" | "future" | "foreign" | "malformed";
            first: number;
        };
        Goodbye: {
            /** @enum {string} */
            reason: "draining" | "max_duration" | "backlog";
        };
        End: {
            /** @enum {string} */
            status: "started" | "completed" | "failed" | "cancelled" | "lost";
        };
        WaitingInput: {
            n: number;
            address: string;
            message: string;
            response_schema: components["schemas"]["InputForm"];
            expires: string | null;
            to: string | null;
        };
        AskedInput: {
            n: number;
            address: string;
            message: string;
            response_schema: components["schemas"]["InputForm"];
            expires: string | null;
            to: string | null;
            answer: {
                /** @enum {string} */
                action: "accept" | "decline" | "expired" | "cancelled";
                by: string | null;
                /** Format: date-time */
                timestamp: string;
            } | null;
        };
        /** @description The execution returned. */
        CompleteEvent: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "complete";
            message: string;
            address: string;
            /** Format: date-time */
            timestamp: string;
            cache_stats?: unknown;
            result?: unknown;
        };
        Event: components["schemas"]["ExecutionEvent"] | components["schemas"]["LogEvent"] | components["schemas"]["TextDelta"] | components["schemas"]["ReasoningDelta"] | components["schemas"]["ProgressEvent"] | components["schemas"]["StateEvent"] | components["schemas"]["ConversationEvent"] | components["schemas"]["CustomEvent"] | components["schemas"]["InputRequestEvent"] | components["schemas"]["InputAnswerEvent"] | components["schemas"]["ErrorEvent"] | components["schemas"]["CancelledEvent"] | components["schemas"]["LostEvent"] | components["schemas"]["CompleteEvent"];
        Execution: {
            id: string;
            actor: string;
            thread: string | null;
            /** @enum {string} */
            status: "started" | "completed" | "failed" | "cancelled" | "lost";
            /** Format: date-time */
            created: string;
            ended: string | null;
            result: unknown;
            error: string | null;
            progress: {
                address: string;
                current: number;
                total: number | null;
                message: string | null;
            } | null;
            /** @description The number of its newest event. */
            last: number;
            /** @description What it asks, and nobody has answered yet. */
            waiting: components["schemas"]["WaitingInput"][];
            viewers: number;
            links: {
                /** Format: uri-reference */
                self: string;
                /** Format: uri-reference */
                events: string;
                /** Format: uri-reference */
                cancel: string;
            };
        };
        ActorList: {
            actors: {
                name: string;
                /** @enum {string} */
                kind: "agent" | "tool" | "llm";
                description: string;
                /** @description Its input as JSON Schema. */
                input: {
                    [key: string]: unknown;
                };
                links: {
                    /** Format: uri-reference */
                    start: string;
                };
            }[];
        };
        ListedExecution: {
            id: string;
            actor: string;
            thread: string | null;
            /** @enum {string} */
            status: "started" | "completed" | "failed" | "cancelled" | "lost";
            /** @description The number of its newest event. */
            last: number;
            /** Format: date-time */
            created: string;
            ended: string | null;
            links: {
                /** Format: uri-reference */
                self: string;
                /** Format: uri-reference */
                events: string;
                /** Format: uri-reference */
                cancel: string;
            };
        };
        ExecutionList: {
            executions: components["schemas"]["ListedExecution"][];
            /** @description The `after` of the next page. */
            next: string | null;
        };
        /** @description An execution has started, at ``timestamp``. */
        ExecutionStarted: {
            execution: string;
            /** Format: date-time */
            timestamp: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "started";
            actor: string;
            thread?: string;
        };
        /** @description An execution asks a question; see ``InputRequestEvent``. */
        ExecutionWaiting: {
            execution: string;
            /** Format: date-time */
            timestamp: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "waiting";
            n: number;
            address: string;
            message: string;
            response_schema: {
                [key: string]: unknown;
            };
            /** Format: date-time */
            expires?: string;
            to?: string;
        };
        /** @description A question is closed; see ``InputAnswerEvent``. */
        ExecutionAnswered: {
            execution: string;
            /** Format: date-time */
            timestamp: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "answered";
            n: number;
            /** @enum {string} */
            action: "accept" | "decline" | "expired" | "cancelled";
            by?: string;
        };
        /** @description An execution has ended, at ``timestamp``, and with it all its questions. */
        ExecutionEnded: {
            execution: string;
            /** Format: date-time */
            timestamp: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "ended";
            actor: string;
            thread?: string;
            /** Format: date-time */
            created: string;
            status: string;
        };
        FeedReset: {
            /** @enum {string} */
            reason: "new" | "trimmed" | "future" | "foreign" | "malformed";
            first: number;
        };
        FeedEvent: components["schemas"]["ExecutionStarted"] | components["schemas"]["ExecutionWaiting"] | components["schemas"]["ExecutionAnswered"] | components["schemas"]["ExecutionEnded"];
        /** @description A problem (RFC 9457). */
        Problem: {
            /** Format: uri-reference */
            type: string;
            title: string;
            status: number;
            detail: string;
            /** @description What is not valid in the input. */
            errors?: {
                type: string;
                loc: (string | number)[];
                msg: string;
            }[];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}

export type BooleanField = components['schemas']['BooleanField'];
export type NumberField = components['schemas']['NumberField'];
export type TextField = components['schemas']['TextField'];
export type ListField = components['schemas']['ListField'];
export type InputField = components['schemas']['InputField'];
export type InputFields = components['schemas']['InputFields'];
export type InputForm = components['schemas']['InputForm'];
export type ExecutionStatus = components['schemas']['ExecutionStatus'];
export type Usage = components['schemas']['Usage'];
export type ExecutionEvent = components['schemas']['ExecutionEvent'];
export type LogEvent = components['schemas']['LogEvent'];
export type TextDelta = components['schemas']['TextDelta'];
export type ReasoningDelta = components['schemas']['ReasoningDelta'];
export type ProgressEvent = components['schemas']['ProgressEvent'];
export type StateEvent = components['schemas']['StateEvent'];
export type ConversationEvent = components['schemas']['ConversationEvent'];
export type CustomEvent = components['schemas']['CustomEvent'];
export type InputRequestEvent = components['schemas']['InputRequestEvent'];
export type InputAnswerEvent = components['schemas']['InputAnswerEvent'];
export type ErrorEvent = components['schemas']['ErrorEvent'];
export type CancelledEvent = components['schemas']['CancelledEvent'];
export type LostEvent = components['schemas']['LostEvent'];
export type Reset = components['schemas']['Reset'];
export type Goodbye = components['schemas']['Goodbye'];
export type End = components['schemas']['End'];
export type WaitingInput = components['schemas']['WaitingInput'];
export type AskedInput = components['schemas']['AskedInput'];
export type CompleteEvent = components['schemas']['CompleteEvent'];
export type Event = components['schemas']['Event'];
export type Execution = components['schemas']['Execution'];
export type ActorList = components['schemas']['ActorList'];
export type ListedExecution = components['schemas']['ListedExecution'];
export type ExecutionList = components['schemas']['ExecutionList'];
export type ExecutionStarted = components['schemas']['ExecutionStarted'];
export type ExecutionWaiting = components['schemas']['ExecutionWaiting'];
export type ExecutionAnswered = components['schemas']['ExecutionAnswered'];
export type ExecutionEnded = components['schemas']['ExecutionEnded'];
export type FeedReset = components['schemas']['FeedReset'];
export type FeedEvent = components['schemas']['FeedEvent'];
export type Problem = components['schemas']['Problem'];
