// Nothing here runs: the compiler says whether these types hold, and that the wrong ones do not.
import type { Client, Run } from "../src/index.js";
import { useExecution } from "../src/react.js";
import type { paths } from "./paths.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export async function Typed({ client, id }: { client: Client<paths>; id: string | null }): Promise<void> {
  const research = useExecution(id, { client, actor: "research" });
  same<typeof research.result, { title: string } | null>(true);
  same<typeof research.error, Error | null>(true);
  same<typeof research.id, string | null>(true);
  const run = await research.start("research", { topic: "tea" }, { key: "k" });
  const result = await run?.result();
  same<typeof result, { title: string } | undefined>(true);
  // @ts-expect-error: the actor is another one
  await research.start("hello");
  // @ts-expect-error: it needs an input
  await research.start("research");
  // @ts-expect-error: a member is no number
  await research.start("research", { topic: 3 });
  for (const { n, response_schema } of research.waiting) {
    const refused = response_schema.type === "boolean" ? await research.answer(n, true) : await research.decline(n);
    same<typeof refused, Error | null>(true);
  }
  // @ts-expect-error: an answer has a content
  await research.answer(1);
  if (research.connection === "closed") return research.cancel();
  // @ts-expect-error: there is no such connection
  if (research.connection === "open") return;

  const any = useExecution(null, { client });
  same<typeof any.result, unknown>(true);
  await any.start("hello");
  await any.start("research", { topic: "tea" });
  // @ts-expect-error: there is no such actor
  await any.start("nothing", {});
  // @ts-expect-error: there is no such actor
  useExecution(id, { client, actor: "nothing" });
  // @ts-expect-error: it needs a client
  useExecution(id, {});
  // @ts-expect-error: an id is a text, or null
  useExecution(undefined, { client });
}

export async function Untyped({ client }: { client: Client }): Promise<void> {
  const { start, text, tree, result } = useExecution("x", { client });
  same<typeof result, unknown>(true);
  same<typeof text, Readonly<Record<string, string>>>(true);
  // @ts-expect-error: a state is not to be changed
  tree.push({});
  const run: Run | undefined = await start("whatever", 5);
  run?.cancel();
}
