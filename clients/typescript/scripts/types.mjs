// Reads two OpenAPI documents, {events, paths}, and prints the types that openapi-typescript makes
// of the schemas of the first, for src/events.ts, and of the whole second, for test/paths.ts.
import { json } from "node:stream/consumers";
import openapi, { astToString } from "openapi-typescript";

const HEAD = "// Made of /openapi.json by `python -m tests.typescript.generated`; do not edit.\n";

const typesOf = async (document, options) => astToString(await openapi(document, { silent: true, ...options }));

async function eventsOf({ openapi, info, components: { schemas } }) {
  const document = { openapi, info, paths: {}, components: { schemas } };
  const types = await typesOf(document, { rootTypes: true, rootTypesNoSchemaPrefix: true });
  return types.match(/export interface components \{.*?^\}\n|^export type \w+ = components.*?$/gms).join("\n") + "\n";
}

const { events, paths } = await json(process.stdin);
console.log(
  JSON.stringify({
    "src/events.ts": HEAD + (await eventsOf(events)),
    // What has a default may be missing in an input.
    "test/paths.ts": HEAD + (await typesOf(paths, { defaultNonNullable: false })),
  }),
);
