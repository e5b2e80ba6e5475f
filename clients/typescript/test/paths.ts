// Made of /openapi.json by `python -m tests.typescript.generated`; do not edit.
export interface paths {
    "/orders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Order */
        post: operations["order_orders_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the actors. */
        get: operations["list_actors"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Describe the routes. */
        get: operations["get_openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/research": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Start research. */
        post: operations["start_research"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/hello": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Start hello. */
        post: operations["start_hello"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/anything": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Start anything. */
        post: operations["start_anything"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/executions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the caller's executions, the newest first. */
        get: operations["list_executions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/feed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Stream what happens to the caller's executions. */
        get: operations["stream_feed"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/executions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Say how an execution stands. */
        get: operations["get_execution"];
        put?: never;
        post?: never;
        /** Cancel an execution. */
        delete: operations["cancel_execution"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/executions/{id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Stream the events of an execution. */
        get: operations["stream_execution"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/executions/{id}/inputs/{n}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Say how a question stands. */
        get: operations["get_input"];
        put?: never;
        /** Answer a question, once. */
        post: operations["answer_input"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** HTTPValidationError */
        HTTPValidationError: {
            /** Detail */
            detail?: components["schemas"]["ValidationError"][];
        };
        /** ValidationError */
        ValidationError: {
            /** Location */
            loc: (string | number)[];
            /** Message */
            msg: string;
            /** Error Type */
            type: string;
            /** Input */
            input?: unknown;
            /** Context */
            ctx?: Record<string, never>;
        };
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
        /** anything */
        anything: {
            /** Given */
            given: {
                [key: string]: unknown;
            };
        };
        /** hello */
        hello: {
            /**
             * Name
             * @default you
             */
            name?: string;
        };
        /** research */
        research: {
            /** Topic */
            topic: string;
            /**
             * Depth
             * @default 2
             */
            depth?: number;
        };
        /** Report */
        Report: {
            /** Title */
            title: string;
        };
        /** Chart */
        Chart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            event_type: "chart";
            /** Points */
            points: number[];
        };
        /** @description The execution returned. */
        ResearchCompleteEvent: {
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
            result: components["schemas"]["Report"];
        };
        ResearchEvent: components["schemas"]["ExecutionEvent"] | components["schemas"]["LogEvent"] | components["schemas"]["TextDelta"] | components["schemas"]["ReasoningDelta"] | components["schemas"]["ProgressEvent"] | components["schemas"]["StateEvent"] | components["schemas"]["ConversationEvent"] | components["schemas"]["CustomEvent"] | components["schemas"]["InputRequestEvent"] | components["schemas"]["InputAnswerEvent"] | components["schemas"]["ErrorEvent"] | components["schemas"]["CancelledEvent"] | components["schemas"]["LostEvent"] | components["schemas"]["ResearchCompleteEvent"] | components["schemas"]["Chart"];
        ResearchExecution: {
            id: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            actor: "research";
            thread: string | null;
            /** @enum {string} */
            status: "started" | "completed" | "failed" | "cancelled" | "lost";
            /** Format: date-time */
            created: string;
            ended: string | null;
            result: components["schemas"]["Report"] | null;
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
        /** @description The execution returned. */
        HelloCompleteEvent: {
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
            result?: string;
        };
        HelloEvent: components["schemas"]["ExecutionEvent"] | components["schemas"]["LogEvent"] | components["schemas"]["TextDelta"] | components["schemas"]["ReasoningDelta"] | components["schemas"]["ProgressEvent"] | components["schemas"]["StateEvent"] | components["schemas"]["ConversationEvent"] | components["schemas"]["CustomEvent"] | components["schemas"]["InputRequestEvent"] | components["schemas"]["InputAnswerEvent"] | components["schemas"]["ErrorEvent"] | components["schemas"]["CancelledEvent"] | components["schemas"]["LostEvent"] | components["schemas"]["HelloCompleteEvent"];
        HelloExecution: {
            id: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            actor: "hello";
            thread: string | null;
            /** @enum {string} */
            status: "started" | "completed" | "failed" | "cancelled" | "lost";
            /** Format: date-time */
            created: string;
            ended: string | null;
            result: string | null;
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
        /** @description The execution returned. */
        AnythingCompleteEvent: {
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
        AnythingEvent: components["schemas"]["ExecutionEvent"] | components["schemas"]["LogEvent"] | components["schemas"]["TextDelta"] | components["schemas"]["ReasoningDelta"] | components["schemas"]["ProgressEvent"] | components["schemas"]["StateEvent"] | components["schemas"]["ConversationEvent"] | components["schemas"]["CustomEvent"] | components["schemas"]["InputRequestEvent"] | components["schemas"]["InputAnswerEvent"] | components["schemas"]["ErrorEvent"] | components["schemas"]["CancelledEvent"] | components["schemas"]["LostEvent"] | components["schemas"]["AnythingCompleteEvent"];
        AnythingExecution: {
            id: string;
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            actor: "anything";
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
        Event: components["schemas"]["ExecutionEvent"] | components["schemas"]["LogEvent"] | components["schemas"]["TextDelta"] | components["schemas"]["ReasoningDelta"] | components["schemas"]["ProgressEvent"] | components["schemas"]["StateEvent"] | components["schemas"]["ConversationEvent"] | components["schemas"]["CustomEvent"] | components["schemas"]["InputRequestEvent"] | components["schemas"]["InputAnswerEvent"] | components["schemas"]["ErrorEvent"] | components["schemas"]["CancelledEvent"] | components["schemas"]["LostEvent"] | components["schemas"]["CompleteEvent"] | components["schemas"]["Chart"];
        Execution: components["schemas"]["ResearchExecution"] | components["schemas"]["HelloExecution"] | components["schemas"]["AnythingExecution"];
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
    responses: {
        /** @description The caller is not authenticated. */
        Unauthorized: {
            headers: {
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The caller may not do that. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Something failed on the server. */
        InternalServerError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A parameter, a header or the JSON of the body is malformed. */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description There is no such execution, or it is another owner's. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body did not come in time. */
        RequestTimeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Another execution of the thread runs: `execution` is its id; or the question has another answer: `action` and `by` say which and whose. */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The key has started an execution that is no longer kept; or nobody waits for the answer any more. */
        Gone: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is too large. */
        ContentTooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is not JSON. */
        UnsupportedMediaType: {
            headers: {
                "Accept-Post": components["headers"]["Accept-Post"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The input is not valid, or the key was used with another one. */
        UnprocessableContent: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Too many executions run, or too many viewers watch. */
        TooManyRequests: {
            headers: {
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The server is shutting down, or the store does not answer. */
        ServiceUnavailable: {
            headers: {
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: {
        /** @description The thread of the caller that it continues, a conversation say: one execution of a thread runs at a time. */
        Thread: string;
        /** @description The same key finds the same execution, which starts once. */
        IdempotencyKey: string;
        /** @description The id of the last event that the client has. */
        LastEventId: string;
        /** @description The same, for clients that cannot set headers. */
        LastEventIdQuery: string;
        /** @description The id of the execution. */
        ExecutionId: string;
        /** @description Seconds to wait for an execution that is about to start. */
        Wait: number;
        /** @description The number of the question. */
        InputNumber: number;
    };
    requestBodies: never;
    headers: {
        /** @description How to authenticate. */
        "WWW-Authenticate": string;
        /** @description The path of the execution. */
        Location: string;
        /** @description The media type that the body must have. */
        "Accept-Post": string;
        /** @description Seconds until the client may try again. */
        "Retry-After": number;
        /** @description The next page, as `rel="next"` (RFC 8288), if there is one. */
        Link: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    order_orders_post: {
        parameters: {
            query: {
                count: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": string;
                };
            };
            /** @description Validation Error */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HTTPValidationError"];
                };
            };
        };
    };
    list_actors: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The actors. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ActorList"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            500: components["responses"]["InternalServerError"];
        };
    };
    get_openapi: {
        parameters: {
            query?: {
                /** @description The version of OpenAPI. */
                version?: "3.1" | "3.1.0" | "3.2" | "3.2.0";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            500: components["responses"]["InternalServerError"];
        };
    };
    start_research: {
        parameters: {
            query?: {
                /** @description The thread of the caller that it continues, a conversation say: one execution of a thread runs at a time. */
                thread?: components["parameters"]["Thread"];
                /** @description The same, for clients that cannot set headers. */
                last_event_id?: components["parameters"]["LastEventIdQuery"];
            };
            header?: {
                /** @description The same key finds the same execution, which starts once. */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
                /** @description The id of the last event that the client has. */
                "Last-Event-ID"?: components["parameters"]["LastEventId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["research"];
            };
        };
        responses: {
            /** @description The stream of events. `schema` is the data of one event without a name. Then there are the events `reset`, `goodbye` and `end`. */
            200: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["ResearchEvent"];
                };
            };
            /** @description It has started. */
            202: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResearchExecution"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            410: components["responses"]["Gone"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableContent"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    start_hello: {
        parameters: {
            query?: {
                /** @description The thread of the caller that it continues, a conversation say: one execution of a thread runs at a time. */
                thread?: components["parameters"]["Thread"];
                /** @description The same, for clients that cannot set headers. */
                last_event_id?: components["parameters"]["LastEventIdQuery"];
            };
            header?: {
                /** @description The same key finds the same execution, which starts once. */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
                /** @description The id of the last event that the client has. */
                "Last-Event-ID"?: components["parameters"]["LastEventId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["hello"];
            };
        };
        responses: {
            /** @description The stream of events. `schema` is the data of one event without a name. Then there are the events `reset`, `goodbye` and `end`. */
            200: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["HelloEvent"];
                };
            };
            /** @description It has started. */
            202: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HelloExecution"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            410: components["responses"]["Gone"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableContent"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    start_anything: {
        parameters: {
            query?: {
                /** @description The thread of the caller that it continues, a conversation say: one execution of a thread runs at a time. */
                thread?: components["parameters"]["Thread"];
                /** @description The same, for clients that cannot set headers. */
                last_event_id?: components["parameters"]["LastEventIdQuery"];
            };
            header?: {
                /** @description The same key finds the same execution, which starts once. */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
                /** @description The id of the last event that the client has. */
                "Last-Event-ID"?: components["parameters"]["LastEventId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["anything"];
            };
        };
        responses: {
            /** @description The stream of events. `schema` is the data of one event without a name. Then there are the events `reset`, `goodbye` and `end`. */
            200: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["AnythingEvent"];
                };
            };
            /** @description It has started. */
            202: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AnythingExecution"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            410: components["responses"]["Gone"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableContent"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_executions: {
        parameters: {
            query?: {
                /** @description Only those of that thread. */
                thread?: string;
                /** @description Only those that stand so. */
                status?: "started" | "completed" | "failed" | "cancelled" | "lost";
                /** @description Only those of that actor. */
                actor?: string;
                /** @description The `next` of the page before. */
                after?: string;
                /** @description How many a page has at most. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    stream_feed: {
        parameters: {
            query?: {
                /** @description The same, for clients that cannot set headers. */
                last_event_id?: components["parameters"]["LastEventIdQuery"];
            };
            header?: {
                /** @description The id of the last event that the client has. */
                "Last-Event-ID"?: components["parameters"]["LastEventId"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream of events. `schema` is the data of one event without a name. Then there are the events `reset` and `goodbye`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["FeedEvent"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_execution: {
        parameters: {
            query?: {
                /** @description Seconds to wait for an execution that is about to start. */
                wait?: components["parameters"]["Wait"];
            };
            header?: never;
            path: {
                /** @description The id of the execution. */
                id: components["parameters"]["ExecutionId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Its status, and its result. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    cancel_execution: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the execution. */
                id: components["parameters"]["ExecutionId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It had ended. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            /** @description It is being cancelled. */
            202: {
                headers: {
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Execution"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    stream_execution: {
        parameters: {
            query?: {
                /** @description The same, for clients that cannot set headers. */
                last_event_id?: components["parameters"]["LastEventIdQuery"];
                /** @description Seconds to wait for an execution that is about to start. */
                wait?: components["parameters"]["Wait"];
            };
            header?: {
                /** @description The id of the last event that the client has. */
                "Last-Event-ID"?: components["parameters"]["LastEventId"];
            };
            path: {
                /** @description The id of the execution. */
                id: components["parameters"]["ExecutionId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream of events. `schema` is the data of one event without a name. Then there are the events `reset`, `goodbye` and `end`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["Event"];
                };
            };
            /** @description The client has all events. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_input: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the execution. */
                id: components["parameters"]["ExecutionId"];
                /** @description The number of the question. */
                n: components["parameters"]["InputNumber"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The question. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AskedInput"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    answer_input: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the execution. */
                id: components["parameters"]["ExecutionId"];
                /** @description The number of the question. */
                n: components["parameters"]["InputNumber"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @constant */
                    action: "accept";
                    /** @description What fits the `response_schema`. */
                    content: unknown;
                } | {
                    /** @constant */
                    action: "decline";
                };
            };
        };
        responses: {
            /** @description It has this very answer already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AskedInput"];
                };
            };
            /** @description This is its answer. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AskedInput"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            410: components["responses"]["Gone"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableContent"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
}
