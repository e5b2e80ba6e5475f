// Renders a component with useExecution where there is no page, and prints the HTML.
import { Client } from "@asgi-events/client";
import { useExecution } from "@asgi-events/client/react";
import { renderToString } from "react-dom/server";

const client = new Client("/events", { fetch: () => { throw new Error("nothing may be asked"); } });

function View({ id }) {
  const { connection, status, text, tree } = useExecution(id, { client });
  return <p>{JSON.stringify([id, connection, status, text, tree])}</p>;
}

console.log(renderToString([<View key="1" id={null} />, <View key="2" id="x" />]));
