import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Block, Decoder } from "../src/decoder.js";
import { encode } from "./virtual.js";

const TRICKY = [
  "\ufeff: stream-start\n",
  "retry: 250\r\ndata: ünï\u2028cödé 🦊\rid: x:1\n\n",
  "data\ndata:\r\ndata: \r\ndata:  two\r\n\r\n",
  ": comment\rdata: a\ndata: b\r\revent: end\nevent: log\ndata:c\nid: bad\0\nunknown: 1\nretry: 1x\n\n",
  "id: x:2\nevent: nothing\n\n",
  "data: \ufeff\nid:x:3\n\r\ndata: never ended",
].join("");

const EXPECTED: Block[] = [
  { event: "", data: "ünï\u2028cödé 🦊", id: "x:1" },
  { event: "", data: "\n\n\n two", id: "" },
  { event: "", data: "a\nb", id: "" },
  { event: "log", data: "c", id: "" },
  { event: "", data: "\ufeff", id: "x:3" },
];

function decode(...chunks: Uint8Array[]): Block[] {
  const decoder = new Decoder();
  return chunks.flatMap((chunk) => decoder.feed(chunk));
}

describe("Decoder", () => {
  test("reads every line end, comment and field as the specification says", () => {
    assert.deepEqual(decode(encode(TRICKY)), EXPECTED);
  });

  test("reads the same in whatever chunks the bytes come", () => {
    const bytes = encode(TRICKY);
    assert.deepEqual(decode(...Array.from(bytes, (byte) => Uint8Array.of(byte))), EXPECTED);
    const expected = JSON.stringify(EXPECTED);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= bytes.length; second += 1) {
        const blocks = decode(bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second));
        if (JSON.stringify(blocks) !== expected) assert.deepEqual(blocks, EXPECTED, `split at ${first} and ${second}`);
      }
    }
  });

  test("gives an event at once whose line ended in CR", () => {
    assert.deepEqual(decode(encode("data: a\r\r")), [{ event: "", data: "a", id: "" }]);
  });

  test("knows the time to wait before its block is complete", () => {
    const decoder = new Decoder();
    assert.equal(decoder.retry, undefined);
    decoder.feed(encode("retry: 250\ndata: a"));
    assert.equal(decoder.retry, 250);
  });
});
