// A page with useChat, bundled once for each version of the AI SDK. The query has the id
// of the chat, and "replay" for the chat that docs/front-ends.md shows for versions 5 and 6.
// A page that is loaded again has the questions, but no answers.
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

function Page() {
  const chat = useChat({ ...options, resume: true });
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
            {message.parts.map((part, i) => (part.type === "text" ? <p key={i}>{part.text}</p> : null))}
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
