// Watches a stream with npm "eventsource", a line of JSON for each event.
//
// The argument is JSON: url; close, whether it closes at the event "end", else it is left
// alone until it gives up; linger, how long to look whether it comes back, in ms.
import { EventSource } from "eventsource";

const { url, close, linger } = JSON.parse(process.argv[2]);
const source = new EventSource(url);
const awake = setInterval(() => {}, 1000); // its own timers let node exit

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
