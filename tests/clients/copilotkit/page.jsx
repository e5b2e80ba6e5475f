// The chat of CopilotKit, with an agent of AG-UI at this origin and no cloud.
import { CopilotChat, CopilotKitProvider, HttpAgent, useInterrupt } from "@copilotkit/react-core/v2";
import { createRoot } from "react-dom/client";

// As docs/front-ends.md shows it.
class ResumableAgent extends HttpAgent {
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect`, headers: this.headers }).run(input);
  }
}

const thread = new URLSearchParams(location.search).get("thread");
const agent = new ResumableAgent({ url: "/ag-ui", threadId: thread });
window.errors = [];
window.agent = agent;

function Questions() {
  useInterrupt({
    render: ({ interrupts, resolve, cancel }) => (
      <div>
        {interrupts.map(({ id, message }) => (
          <fieldset key={id}>
            <legend>{message}</legend>
            <button onClick={() => resolve(true, id)}>Yes</button>
            <button onClick={() => resolve(false, id)}>No</button>
            <button onClick={() => cancel(id)}>Decline</button>
          </fieldset>
        ))}
      </div>
    ),
  });
  return null;
}

createRoot(document.getElementById("root")).render(
  <CopilotKitProvider
    agents__unsafe_dev_only={{ default: agent }}
    showDevConsole={false}
    onError={({ error, code }) => window.errors.push(`${code}: ${error.message}`)}
  >
    <Questions />
    <CopilotChat agentId="default" threadId={thread} />
  </CopilotKitProvider>,
);
