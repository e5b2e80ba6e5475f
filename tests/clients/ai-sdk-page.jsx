// A page with useChat, bundled once for each version of the AI SDK. The query has the id
// of the chat, and "replay" for the chat that docs/front-ends.md shows for versions 5 and 6.
// A page that is loaded again has what the user has said, but no answers. What is asked for
// yes or no has two buttons.
import * as sdk from "ai-sdk";
import { Chat, useChat } from "ai-sdk-react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

class ReplayChat extends Chat {
  constructor(options) {
    super(options);
    const { resumeStream } = this;
    this.resumeStream = (options) => {
      this.resumableStreamState = undefined;
      return resumeStream(options);
    };
  }
}

const query = new URLSearchParams(location.search);
const id = query.get("id");
const history = () => JSON.parse(localStorage.getItem(id) ?? "[]");
const options = query.has("replay")
  ? { chat: new ReplayChat({ id, messages: history() }) }
  : { id, messages: history() };

// Version 5 has no approvals.
const isAnswered = sdk["lastAssistantMessageIsCompleteWithApprovalResponses"];

function Part({ part }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (part.toolName !== "ask") return null;
  const respond = (approved) =>
    window.chat.addToolApprovalResponse({ id: part.approval.id, approved });
  return (
    <fieldset disabled={part.state !== "approval-requested"}>
      <legend>{part.input.message}</legend>
      <button onClick={() => respond(true)}>Yes</button>
      <button onClick={() => respond(false)}>No</button>
    </fieldset>
  );
}

function Page() {
  const chat = useChat({ ...options, resume: true, sendAutomaticallyWhen: isAnswered });
  window.chat = chat;
  window.ask = (text, body) => {
    const question = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text }] };
    localStorage.setItem(id, JSON.stringify([...history(), question]));
    chat.sendMessage(question, { body });
  };
  const stop = () => fetch(`/api/chat/${encodeURIComponent(id)}/stop`, { method: "POST" });
  return (
    <>
      <p id="status">{chat.status}</p>
      <p id="error">{chat.error?.message}</p>
      <button id="stop" onClick={stop}>Stop</button>
      <ol>
        {chat.messages.map((message) => (
          <li key={message.id}>
            {message.parts.map((part, i) => <Part key={i} part={part} />)}
          </li>
        ))}
      </ol>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
