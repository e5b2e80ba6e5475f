// Runs the tests of this package: each file of test/, bundled, in one process.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const folder = new URL("../", import.meta.url).pathname;
const only = process.argv[2] ?? "";
const names = readdirSync(`${folder}test`).filter((name) => name.endsWith(".test.ts") && name.startsWith(only));
const outfile = join(mkdtempSync(join(tmpdir(), "client-")), "tests.mjs");
await build({
  absWorkingDir: folder,
  stdin: { contents: names.map((name) => `import "./test/${name}";`).join("\n"), resolveDir: folder },
  bundle: true,
  format: "esm",
  ignoreAnnotations: true, // "sideEffects": false would leave the tests out
  platform: "node",
  target: "es2022",
  outfile,
});
await import(pathToFileURL(outfile));
rmSync(dirname(outfile), { recursive: true });
