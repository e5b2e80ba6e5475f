// Watches a stream with npm "@microsoft/fetch-event-source" and prints each event as a line of JSON.
//
// The argument is JSON: url, method, headers, body, lastEventId; linger: milliseconds to
// wait for a reconnect at the end. The client stops by itself after a complete response.
globalThis.window = globalThis; // the library expects a browser
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const { default: library } = await import("@microsoft/fetch-event-source");
const { url, method, headers, body, lastEventId, linger } = JSON.parse(process.argv[2]);

await library.fetchEventSource(url, {
  method,
  headers: lastEventId ? { ...headers, "last-event-id": lastEventId } : headers,
  body,
  openWhenHidden: true,
  onmessage: ({ event, id, data }) =>
    console.log(JSON.stringify({ event: event || "message", id, data })),
});
await new Promise((resolve) => setTimeout(resolve, linger));
console.log(JSON.stringify({ closed: true }));
