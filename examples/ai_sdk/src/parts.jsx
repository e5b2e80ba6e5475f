// The parts of a message as a tree: what a tool or an agent has said is in its card.

import { Question } from "./question.jsx";

export function Parts({ parts }) {
  const shown = parts.filter((part) => VIEWS[part.type] && !isHidden(part, parts));
  const cards = shown.filter(isCall);

  function cardOf(part) {
    const around = cards.filter((card) => isBelow(addressOf(part), addressOf(card)));
    return around.sort((a, b) => addressOf(b).length - addressOf(a).length)[0];
  }

  function inside(card) {
    const inner = shown.filter((part) => cardOf(part) === card);
    return inner.map((part) => {
      const View = VIEWS[part.type];
      return (
        <View key={parts.indexOf(part)} part={part}>
          {isCall(part) && inside(part)}
        </View>
      );
    });
  }

  return inside(undefined);
}

const VIEWS = { text: Text, reasoning: Reasoning, "dynamic-tool": Tool, "data-execution": Agent };

const isCall = (part) => part.type === "dynamic-tool" || part.type === "data-execution";

// Where a part is in the tree of calls: chat/guide/pack/packer.
const addressOf = (part) =>
  part.toolCallId ?? part.id ?? part.providerMetadata?.["asgi-events"]?.address ?? "";

const isBelow = (address, other) => address.startsWith(`${other}/`);

// A request to a model has no card. The outermost agent has none: it is the whole answer.
function isHidden({ type, id, data }, parts) {
  if (type !== "data-execution") return false;
  const agents = parts.filter((part) => part.type === type && part.data.kind === "agent");
  return data.kind !== "agent" || !agents.some((agent) => isBelow(id, agent.id));
}

function Text({ part }) {
  return part.text.trim() && <p className="text">{part.text}</p>;
}

function Reasoning({ part }) {
  return (
    <details className="reasoning">
      <summary>{part.state === "streaming" ? "Thinking…" : "Thought"}</summary>
      <p>{part.text}</p>
    </details>
  );
}

function Tool({ part, children }) {
  const { toolName, state, input, output, errorText } = part;
  if (toolName === "ask") return <Question part={part} />;
  return (
    <Card kind="tool" name={toolName} status={STATUS[state] ?? "running"}>
      <Value label="Input" value={input} />
      {children}
      <Value label="Output" value={output} />
      <Value label="Error" value={errorText} />
    </Card>
  );
}

function Agent({ part: { data }, children }) {
  return (
    <Card kind="agent" name={data.name} status={STATUS[data.status] ?? data.status}>
      {children}
    </Card>
  );
}

const STATUS = {
  "output-available": "done", // of a tool
  "output-error": "failed",
  started: "running", // of an agent
  completed: "done",
  recovered: "done",
};

function Card({ kind, name, status, children }) {
  return (
    <div role="group" className={`card ${kind}`} aria-label={`${kind} ${name}`}>
      <h2>
        <span className="kind">{kind}</span> {name} <span className={`status ${status}`}>{status}</span>
      </h2>
      {children}
    </div>
  );
}

function Value({ label, value }) {
  if (value === undefined || value === null) return null;
  return (
    <dl>
      <dt>{label}</dt>
      <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
    </dl>
  );
}
