// Watches a stream with npm "eventsource-client" and prints each event as a line of JSON.
//
// The argument is JSON: url, method, headers, body, lastEventId; close: whether to close at
// the event "end", otherwise the client stops by itself; linger: milliseconds to wait for a
// reconnect after that.
import { createEventSource } from "eventsource-client";

const { url, method, headers, body, lastEventId, close, linger } = JSON.parse(
  process.argv[2],
);
const awake = setInterval(() => {}, 1000);
let stopped = false;

const stop = () => {
  if (stopped) return;
  stopped = true;
  setTimeout(() => {
    clearInterval(awake);
    console.log(JSON.stringify({ closed: source.readyState === "closed" }));
  }, linger);
};

const source = createEventSource({
  url,
  method,
  headers,
  body,
  initialLastEventId: lastEventId,
  onMessage: ({ event = "message", id = "", data }) => {
    console.log(JSON.stringify({ event, id, data }));
    if (close && event === "end") {
      source.close();
      stop();
    }
  },
  // After a 204 this is called before the source is closed.
  onDisconnect: () =>
    setTimeout(() => {
      if (source.readyState === "closed") stop();
    }),
});
