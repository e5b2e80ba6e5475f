// Nothing here runs: the compiler says whether these types hold, and that the wrong ones do not.
import { AnswerRefused, Client, type Event, type InputField, type InputForm, type Question, type ResetEvent, type ResultOf, initialState, reduce } from "../src/index.js";
import type { paths } from "./paths.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export async function typed(client: Client<paths>): Promise<void> {
  const run = await client.start("research", { topic: "tea" });
  await client.start("research", { topic: "tea", depth: 3 }, { key: "k" });
  await client.start("hello");
  await client.start("hello", { name: "me" });
  await client.start("hello", undefined, { key: "k" });
  // @ts-expect-error: there is no such actor
  await client.start("nothing", {});
  // @ts-expect-error: a route that starts no actor
  await client.start("orders", {});
  // @ts-expect-error: it needs an input
  await client.start("research");
  // @ts-expect-error: the input lacks a member
  await client.start("research", {});
  // @ts-expect-error: a member is no number
  await client.start("research", { topic: "tea", depth: "3" });
  // @ts-expect-error: an option that there is not
  await client.start("research", { topic: "tea" }, { kee: "k" });

  const result = await run.result();
  same<typeof result, { title: string }>(true);
  const about = await run.about();
  same<typeof about.actor, "research">(true);
  same<typeof about.result, { title: string } | null>(true);

  for await (const event of run.events({ after: 3 })) {
    switch (event.event_type) {
      case "chart":
        same<typeof event.points, number[]>(true);
        break;
      case "text_delta":
        same<typeof event.delta, string>(true);
        // @ts-expect-error: a text has no message
        event.message;
        break;
      case "reset":
        same<typeof event, ResetEvent>(true);
        same<typeof event.first, number>(true);
        break;
      case "complete":
        same<typeof event.result, { title: string }>(true);
        break;
      // @ts-expect-error: there is no such event
      case "no_event":
        break;
    }
  }

  const hello = await (await client.start("hello")).result();
  same<typeof hello, string | null>(true);
  const found = await client.run<"hello">("x").result();
  same<typeof found, string | null>(true);
  // @ts-expect-error: there is no such actor
  client.run<"nothing">("x");
  const anything = await (await client.start("anything", { given: {} })).result();
  same<typeof anything, unknown>(true);
  const any = client.run("x");
  any.subscribe({
    onEvent(event, number) {
      same<typeof number, number>(true);
      if (event.event_type === "chart") same<typeof event.points, number[]>(true);
    },
  });
  const either = await any.result();
  same<typeof either, unknown>(true);

  type Found = Awaited<ReturnType<typeof run.result>>;
  const state = reduce<Found>(initialState, [{ event_type: "log", level: "info", message: "m", address: "", timestamp: "" }]);
  same<typeof state.result, { title: string } | null>(true);
  const batch = [];
  for await (const event of run.events()) batch.push(event);
  reduce(state, batch);
}

export async function answered(client: Client<paths>): Promise<void> {
  const run = client.run<"research">("x");
  const asked: Question[] = [...(await run.about()).waiting, ...initialState.waiting, await run.question(1)];
  for await (const event of run.events()) if (event.event_type === "input_request") asked.push(event);
  for (const { n, response_schema } of asked) {
    same<typeof response_schema, InputForm>(true);
    const fields = response_schema.type === "object" ? Object.values(response_schema.properties) : [response_schema];
    const { answer } = await run.answer(n, fields.map(contentOf), { signal: new AbortController().signal });
    same<NonNullable<typeof answer>["action"], "accept" | "decline" | "expired" | "cancelled">(true);
  }
  await run.decline(1).catch((error: unknown) => {
    if (error instanceof AnswerRefused) same<typeof error.action, "accept" | "decline" | "expired" | "cancelled">(true);
  });
  // @ts-expect-error: an answer has a content
  await run.answer(1);
  // @ts-expect-error: a question has a number
  await run.decline("first");
}

function contentOf(field: InputField): unknown {
  switch (field.type) {
    case "boolean":
      return field.default;
    case "integer":
    case "number":
      return field.minimum ?? field.enum?.[0];
    case "string":
      return field.enum?.[0] ?? field.oneOf?.[0]?.const ?? field.format;
    case "array":
      return field.items.enum?.slice(0, field.maxItems) ?? field.items.anyOf?.[0]?.const;
  }
}

export async function untyped(client: Client): Promise<void> {
  const run = await client.start("research", { topic: "tea" });
  await client.start("whatever", 5, { signal: new AbortController().signal });
  same<Awaited<ReturnType<typeof run.result>>, unknown>(true);
  for await (const event of run.events()) {
    same<typeof event, Event | ResetEvent>(true);
    if (event.event_type === "progress") same<typeof event.current, number>(true);
  }
  same<ResultOf<Event>, unknown>(true);
  new Client("/events", { auth: { Authorization: "x" }, fetch: (url, init) => fetch(url, { ...init, credentials: "include" }) });
  // @ts-expect-error: no option of the client
  new Client("/events", { timeout: 3 });
  // @ts-expect-error: a state is not to be changed
  initialState.tree.push({});
  // @ts-expect-error: a state is not to be changed
  initialState.last = 3;
}
