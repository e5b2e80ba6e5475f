import { useCallback, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Client, StartOptions } from "./client.js";
import type { Run } from "./run.js";
import type { State } from "./state.js";
import type { EventOf, ExecutionOf, Input, Name, ResultOf } from "./types.js";
import { errorOf, initialSnapshot, type Snapshot, watchOf } from "./watch.js";

export interface ExecutionOptions<Paths, Actor> {
  /** Made outside of components: hooks with the same client share their connections. */
  client: Client<Paths>;
  /** The name of the actor, where it is known: it gives `result` and `start` their types. */
  actor?: Actor | undefined;
}

/** What a component can show of an execution, and do with it. */
export interface WatchedExecution<Paths, Actor extends Name<Paths>>
  extends Omit<State<ResultOf<EventOf<Paths, Actor>>>, "error"> {
  /** The id of what is watched; null as long as there is none. */
  readonly id: string | null;
  /**
   * `idle`: there is no id. `starting`: the server has not answered a start. `closed`: an error has
   * ended the stream, and nothing connects again before a component mounts.
   */
  readonly connection: Snapshot["connection"] | "idle" | "starting";
  /** Why it has no result, or why it cannot be started, watched, cancelled or answered. */
  readonly error: Error | null;
  /**
   * Starts an actor and watches that execution, until the hook is given another id. It never
   * rejects: without a run, `error` says why.
   *
   * A second call with the same actor, input and thread returns the same run as long as that runs. A `key`
   * of the caller's own decides instead.
   */
  readonly start: <Which extends Actor>(
    actor: Which,
    ...rest: [...Input<Paths, Which>, options?: StartOptions]
  ) => Promise<Run<EventOf<Paths, Which>, ExecutionOf<Paths, Which>> | undefined>;
  /** Cancels what is watched, or what is being started. It never rejects: see `error`. */
  readonly cancel: () => Promise<void>;
  /**
   * Answers a question of what is watched. It never rejects: it resolves to null if the answer
   * counts, else to why it does not, an `AnswerRefused` say. `error` is that too.
   *
   * @param content What fits the `response_schema` of the question.
   */
  readonly answer: (n: number, content: unknown) => Promise<Error | null>;
  /** Declines to answer a question, as `answer` does. */
  readonly decline: (n: number) => Promise<Error | null>;
}

/** What the hook adds to what it was given, as long as it has the same client and id. */
interface Own {
  readonly client: object | null;
  readonly given: string | null;
  /** What it has started. */
  readonly id: string | null;
  readonly isStarting: boolean;
  readonly error: Error | null;
}

/** A start, from the call on: two calls may come before React draws. */
interface Start {
  readonly client: object;
  given: string | null;
  readonly what: string;
  run: Promise<Run<any, any> | undefined>;
  id: string | null;
}

interface Latest {
  client: Client<any>;
  id: string | null;
  start: Start | null;
}

const NOTHING: Own = { client: null, given: null, id: null, isStarting: false, error: null };

/**
 * Watches an execution: the state that its events make, drawn once a frame.
 *
 *     const { text, status, start, cancel } = useExecution(id, { client });
 *
 * Hooks on the same id share a connection, which closes when the last one unmounts. The execution
 * runs on.
 *
 * @param id The id of an execution; null as long as there is none.
 */
export function useExecution<Paths = unknown, Actor extends Name<Paths> = Name<Paths>>(
  id: string | null,
  { client }: ExecutionOptions<Paths, Actor>,
): WatchedExecution<Paths, Actor> {
  const [kept, setOwn] = useState(NOTHING);
  const own = kept.client === client && kept.given === id ? kept : NOTHING;
  if (kept !== own) setOwn(NOTHING); // it was given another id, and does not come back to what it had
  const { isStarting, error } = own;
  const watched = own.id ?? id;

  const latest = useRef<Latest>({ client, id, start: null });
  useInsertionEffect(() => {
    const start = startOf({ client, id, start: latest.current.start });
    if (start) start.given = id; // it may have got this id
    latest.current = { client, id, start };
  }, [client, id]);

  const start = useCallback(async (actor: string, input?: unknown, options: StartOptions = {}) => {
    const { client, id } = latest.current;
    const what = JSON.stringify([actor, input, options.thread]);
    const before = latest.current.start;
    if (before?.what === what && !options.key && !isOver(before)) return before.run;

    const made: Start = { client, given: id, what, id: null, run: Promise.resolve(undefined) };
    const isLatest = (): boolean => latest.current.start === made;
    latest.current.start = made;
    setOwn(changed(client, id, { isStarting: true, error: null }));
    made.run = client.start(actor, input, options).then(
      (run) => {
        made.id = run.id;
        if (isLatest()) setOwn(changed(client, id, { isStarting: false, id: run.id }));
        return run;
      },
      (thrown: unknown) => {
        if (!isLatest()) return undefined;
        latest.current.start = null; // the next call tries again
        setOwn(changed(client, id, { isStarting: false, error: errorOf(thrown) }));
        return undefined;
      },
    );
    return made.run;
  }, []);

  const attempt = useCallback(async (act: () => Promise<unknown>) => {
    const { client, id, start } = latest.current;
    const tell = (error: Error | null): void => {
      const now = latest.current;
      const isWatched = now.client === client && now.id === id && now.start === start;
      if (isWatched) setOwn(changed(client, id, { error }));
    };
    tell(null);
    try {
      await act();
      return null;
    } catch (thrown) {
      const error = errorOf(thrown);
      tell(error);
      return error;
    }
  }, []);

  const cancel = useCallback(async () => {
    await attempt(async () => {
      const { client, id, start } = latest.current;
      const run = (await start?.run) ?? (id === null ? undefined : client.run(id));
      await run?.cancel();
    });
  }, [attempt]);

  // Of what is shown: a number means nothing to another execution.
  const [answer, decline] = useMemo(() => {
    const run = (): Run<any, any> => client.run(watched ?? "");
    return [
      (n: number, content: unknown) => attempt(async () => run().answer(n, content)),
      (n: number) => attempt(async () => run().decline(n)),
    ];
  }, [attempt, client, watched]);

  const subscribe = useCallback(
    (listener: () => void) => (watched === null ? () => {} : watchOf(client, watched).subscribe(listener)),
    [client, watched],
  );
  const snapshot = useSyncExternalStore(
    subscribe,
    () => (watched === null ? initialSnapshot : watchOf(client, watched).snapshot),
    () => initialSnapshot,
  );

  return useMemo(() => {
    const connection = isStarting ? "starting" : watched === null ? "idle" : snapshot.connection;
    const made = { ...snapshot.state, id: watched, connection, error: error ?? snapshot.error, start, cancel, answer, decline };
    return made as unknown as WatchedExecution<Paths, Actor>;
  }, [snapshot, watched, isStarting, error, start, cancel, answer, decline]);
}

/** Returns the start that a hook with this id follows: it was made by this hook, or has got this id. */
function startOf({ client, id, start }: Latest): Start | null {
  const follows = start && start.client === client && (start.given === id || (start.id !== null && start.id === id));
  return follows ? start : null;
}

function isOver({ client, id }: Start): boolean {
  return id !== null && watchOf(client as Client, id).isOver;
}

function changed(client: object, given: string | null, change: Partial<Own>): (own: Own) => Own {
  return (own) => ({ ...(own.client === client && own.given === given ? own : NOTHING), client, given, ...change });
}
