// Watches a stream with npm "eventsource" and prints each event as a line of JSON.
//
// The argument is JSON: url; close: whether to close at the event "end", otherwise the
// client stops by itself; linger: milliseconds to wait for a reconnect after that.
import { EventSource } from "eventsource";

const { url, close, linger } = JSON.parse(process.argv[2]);
const source = new EventSource(url);
const awake = setInterval(() => {}, 1000); // the timers of the client do not keep node alive

const stop = () =>
  setTimeout(() => {
    clearInterval(awake);
    console.log(JSON.stringify({ closed: source.readyState === EventSource.CLOSED }));
  }, linger);

for (const type of ["message", "reset", "goodbye", "end"]) {
  source.addEventListener(type, ({ lastEventId, data }) =>
    console.log(JSON.stringify({ event: type, id: lastEventId, data })),
  );
}
if (close) {
  source.addEventListener("end", () => {
    source.close();
    stop();
  });
}
source.onerror = () => {
  if (source.readyState === EventSource.CLOSED) stop();
};
