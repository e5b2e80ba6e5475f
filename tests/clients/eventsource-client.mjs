// Watches a stream with npm "eventsource-client", a line of JSON for each event.
//
// The argument is JSON: url, method, headers, body, lastEventId; close, whether it closes
// at the event "end", else it is left alone until it gives up; linger, how long to look
// whether it comes back, in ms.
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
  // At a 204 it says so before it has closed.
  onDisconnect: () =>
    setTimeout(() => {
      if (source.readyState === "closed") stop();
    }),
});
