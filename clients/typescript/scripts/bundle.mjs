// Makes one file of the sources, for pages without a build step: asgi_events/cli/demo/static/client.js.
// With --print it prints the file, and with --size the bytes of the minified one, gzipped.
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url);
const { name, version } = JSON.parse(readFileSync(here("../package.json"), "utf8"));

async function bundle(options) {
  const { outputFiles } = await build({
    absWorkingDir: here("..").pathname,
    entryPoints: ["src/index.ts"],
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    write: false,
    ...options,
  });
  return outputFiles[0].text;
}

const banner = `// ${name} ${version}: made of clients/typescript/src by \`npm run bundle\`; do not edit.`;
if (process.argv.includes("--size")) console.log(gzipSync(await bundle({ minify: true }), { level: 9 }).length);
else {
  const text = await bundle({ banner: { js: banner } });
  if (process.argv.includes("--print")) process.stdout.write(text);
  else writeFileSync(here("../../../asgi_events/cli/demo/static/client.js"), text);
}
