import { useChat } from "@ai-sdk/react";
import {
  DefaultChatTransport,
  generateId,
  lastAssistantMessageIsCompleteWithApprovalResponses as isApproved,
  lastAssistantMessageIsCompleteWithToolCalls as isAnswered,
} from "ai";
import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { Parts } from "./parts.jsx";
import { Answers, isOpen } from "./question.jsx";
import "./style.css";

const api = "/api/chat";
const transport = new DefaultChatTransport({ api });

// The chat's id is in the address, so a second tab shows the same chat.
const id = location.hash.slice(1) || generateId();
history.replaceState(null, "", `#${id}`);
onhashchange = () => location.reload();

// The AI SDK leaves the history to the application. This page keeps it in the browser: all
// messages, but no answer in the middle, because a stream that resumes replays it.
const kept = () => JSON.parse(localStorage.getItem(`chat:${id}`) ?? "[]");
const keep = (messages) => localStorage.setItem(`chat:${id}`, JSON.stringify(messages));
const initial = kept();
const tabs = new BroadcastChannel(`chat:${id}`); // tells the other tabs what is new

function Chat() {
  const hasAsked = useRef(false);
  const chat = useChat({
    id,
    messages: initial,
    resume: true,
    transport,
    sendAutomaticallyWhen: (all) => isApproved(all) || isAnswered(all),
    onFinish: () => tell(), // of a response that was too short to be seen
    // fetch throws a TypeError where the network fails: the answer goes on at the server.
    onError: (error) => error instanceof TypeError && setTimeout(chat.resumeStream, 1000),
  });
  const { messages, status, error } = chat;
  const last = messages.at(-1);
  const isBusy = ["submitted", "streaming"].includes(status);
  const isAsked = last?.parts.some(isOpen); // by the actor, which waits
  const isOffline = error instanceof TypeError;
  const failed = !isBusy && !isOffline && failure(last, error);

  useEffect(() => {
    keep(isBusy && last?.role === "assistant" ? messages.slice(0, -1) : messages);
    if (status === "streaming") tell(); // the answer exists now
  }, [messages.length, status]);

  useEffect(() => {
    tabs.onmessage = () => {
      chat.setMessages(kept());
      chat.resumeStream();
    };
  }, []);

  function tell() {
    if (hasAsked.current) tabs.postMessage("asked");
    hasAsked.current = false;
  }

  const answers = {
    approve(response) {
      hasAsked.current = true;
      chat.addToolApprovalResponse(response);
    },
    output(result) {
      hasAsked.current = true;
      chat.addToolOutput({ tool: "ask", ...result });
    },
  };

  function ask(text) {
    hasAsked.current = true;
    if (text) chat.sendMessage({ text });
    else chat.regenerate();
  }

  return (
    <>
      <header>
        <h1>A day out</h1>
        <a href="#">New chat</a>
      </header>
      <main role="log" aria-label="Conversation" aria-busy={isBusy} tabIndex={0}>
        <div>
          {messages.length === 0 && <Welcome ask={ask} />}
          <Answers.Provider value={answers}>
            {messages.map((message) => (
              <Message key={message.id} message={message} />
            ))}
          </Answers.Provider>
          {status === "submitted" && <p className="note">Waiting for the answer…</p>}
          {isOffline && <p className="note">The connection is lost. Connecting again…</p>}
        </div>
      </main>
      {failed && (
        <p role="alert">
          {failed} <button onClick={() => ask()}>Try again</button>
        </p>
      )}
      <Composer isBusy={isBusy || isAsked} ask={ask} stop={() => stop(chat)} />
    </>
  );
}

// chat.stop() only closes the connection. This ends the answer, and all tabs see that.
async function stop(chat) {
  const url = `${api}/${encodeURIComponent(id)}/stop`;
  const answer = await fetch(url, { method: "POST" }).catch(() => null);
  if (!answer?.ok) chat.stop();
  else if (chat.status === "ready") chat.resumeStream(); // it has waited for an answer
}

function failure(last, error) {
  if (error?.statusCode) return `The server answers ${error.statusCode}.`;
  if (error) return error.message;
  if (last?.role === "user") return "There is no answer.";
  const is = last?.metadata?.status;
  return is === "failed" || is === "lost" ? "The answer failed." : null;
}

function Message({ message: { role, parts, metadata } }) {
  return (
    <article className={role} aria-label={role === "user" ? "You" : "Answer"}>
      <Parts parts={parts} />
      {metadata?.status === "cancelled" && <p className="note">Stopped</p>}
    </article>
  );
}

function Welcome({ ask }) {
  const questions = ["Plan a day in Rome", "What do I pack for Rome?"];
  return (
    <div className="welcome">
      <p>Ask for a day out. You can reload, open a second tab, or lose the network.</p>
      {questions.map((question) => (
        <button key={question} onClick={() => ask(question)}>
          {question}
        </button>
      ))}
    </div>
  );
}

function Composer({ isBusy, ask, stop }) {
  const [text, setText] = useState("");

  function submit(event) {
    event.preventDefault();
    if (isBusy || !text.trim()) return;
    ask(text.trim());
    setText("");
  }

  function onKeyDown(event) {
    const isSent = event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing;
    if (isSent) submit(event);
  }

  return (
    <form onSubmit={submit}>
      <textarea
        aria-label="Question"
        placeholder="Ask something"
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isBusy ? (
        <button type="button" onClick={stop}>
          Stop
        </button>
      ) : (
        <button className="primary">Send</button>
      )}
    </form>
  );
}

createRoot(document.getElementById("root")).render(<Chat />);
