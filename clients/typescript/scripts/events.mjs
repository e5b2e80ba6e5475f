// Reads an OpenAPI document, and prints its schemas as the types of src/events.ts.
import { text } from "node:stream/consumers";
import openapi, { astToString } from "openapi-typescript";

const { openapi: version, info, components } = JSON.parse(await text(process.stdin));
const document = { openapi: version, info, paths: {}, components: { schemas: components.schemas } };
const types = await openapi(document, { rootTypes: true, rootTypesNoSchemaPrefix: true, silent: true });
const schemas = astToString(types).match(/export interface components \{.*?^\}\n|^export type \w+ = components.*?$/gms);
console.log(`// Made of /openapi.json by \`python -m tests.typescript.events\`: do not edit.\n${schemas.join("\n")}`);
