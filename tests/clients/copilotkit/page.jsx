// The chat of CopilotKit, with an agent of AG-UI at this origin and no cloud.
import { CopilotChat, CopilotKitProvider, HttpAgent } from "@copilotkit/react-core/v2";
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

createRoot(document.getElementById("root")).render(
  <CopilotKitProvider
    agents__unsafe_dev_only={{ default: agent }}
    showDevConsole={false}
    onError={({ error, code }) => window.errors.push(`${code}: ${error.message}`)}
  >
    <CopilotChat agentId="default" threadId={thread} />
  </CopilotKitProvider>,
);
