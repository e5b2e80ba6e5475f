// Components that watch executions with useExecution. Tests say which there are, and read what each
// was given last, how often it was drawn, and which functions it got.
import { Client } from "@asgi-events/client";
import { useExecution } from "@asgi-events/client/react";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const client = new Client("/events");
const options = new URLSearchParams(location.search);

Object.assign(window, {
  seen: {}, // by the name of the view: what the hook returned when it was drawn last
  drawn: {}, // how often each view was drawn
  refused: {}, // by the name of the view: why its last answer does not count
  functions: new Set(), // every start and cancel that any view got
  frames: 0,
});

function frame() {
  window.frames += 1;
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);

function View({ name, id, auto }) {
  const [kept, keep] = useState(id ?? null);
  const execution = useExecution(id === undefined ? kept : id, { client });
  const { text, status, error, connection, start, cancel, waiting, answer, decline } = execution;
  useEffect(() => {
    window.seen[name] = execution;
    window.drawn[name] = (window.drawn[name] ?? 0) + 1;
    window.functions.add(start).add(cancel);
  });
  useEffect(() => {
    if (auto) start("talk", {});
  }, []);
  const tell = async (refused) => (window.refused[name] = (await refused)?.name ?? null);

  return (
    <section id={name}>
      <button className="start" onClick={() => start("talk", {})}>Start</button>
      <button className="stop" onClick={cancel}>Stop</button>
      <output>{[connection, status ?? "-", error?.message ?? "-"].join(" | ")}</output>
      <p>{Object.values(text).join("").slice(-200)}</p>
      {waiting.map(({ n, message }) => (
        <form key={n}>
          <p>{message}</p>
          {["window", "aisle"].map((seat) => (
            <button key={seat} type="button" className={seat} onClick={() => tell(answer(n, seat))}>{seat}</button>
          ))}
          <button type="button" className="decline" onClick={() => tell(decline(n))}>Decline</button>
        </form>
      ))}
    </section>
  );
}

function App() {
  const [views, show] = useState(JSON.parse(options.get("views") ?? "[]"));
  window.show = show;
  return views.map((view) => <View key={view.name} {...view} />);
}

const Wrapper = options.has("plain") ? "div" : StrictMode;
createRoot(document.getElementById("root")).render(<Wrapper><App /></Wrapper>);
