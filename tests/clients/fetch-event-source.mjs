// Watches a stream with npm "@microsoft/fetch-event-source", a line of JSON for each event.
//
// The argument is JSON: url, method, headers, body, lastEventId; linger, how long to look
// whether it comes back, in ms. It is left alone: a complete answer is its end.
globalThis.window = globalThis; // it is made for browsers
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
