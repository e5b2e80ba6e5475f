// The messages of AG-UI in the page: what a tool or a sub-agent has said is in its card.

const turns = document.getElementById("turns");
const elements = new Map(); // by the ids of messages, tool calls and sub-agents
const statuses = new Map(); // of sub-agents

export const mark = (subagentRunId, status) => statuses.set(subagentRunId, status);

/** Show all messages; an element whose message is gone goes too. */
export function show(messages) {
  const seen = new Set();
  let question;

  function element(id, parent, make) {
    seen.add(id);
    if (elements.has(id)) return elements.get(id);
    const made = make();
    parent.insertBefore(made, parent.querySelector(":scope > .output")); // that is last
    elements.set(id, made);
    return made;
  }

  const answer = () => element(`answer to ${question}`, turns, () => article("Answer"));

  // The id of a sub-agent is the path of its call, <execution>/chat/guide/pack/packer.
  // The outermost one is the whole answer; the others have cards in those around them.
  function placeOf(agent) {
    if (!agent) return answer();
    const around = [...seen].findLast((id) => agent.startsWith(`${id}/`));
    seen.add(agent);
    if (!around) return answer();
    const place = elements.get(around) ?? answer();
    const name = agent.split("/").at(-1);
    const box = element(agent, place, () => card("agent", name));
    setStatus(box, statuses.get(agent) ?? "done");
    return box;
  }

  for (const message of messages) {
    const { id, role, content, toolCalls, toolCallId, subagentRunId } = message;
    if (role === "user") {
      question = id;
      element(id, turns, () => article("You", paragraph(textOf(content))));
    } else if (role === "reasoning") {
      element(id, placeOf(subagentRunId), thought).lastChild.textContent = content;
    } else if (role === "tool") {
      const box = elements.get(toolCallId);
      const status = message.metadata?.execution_status ?? "completed";
      if (box) setStatus(box, status === "completed" ? "done" : status);
      if (box) element(id, box, () => value("Output", content)).className = "output";
    } else if (role === "assistant") {
      const place = placeOf(subagentRunId);
      if (content) element(id, place, paragraph).textContent = textOf(content);
      for (const { id, function: call } of toolCalls ?? []) {
        const box = element(id, place, () => card("tool", call.name, value("Input", "")));
        box.querySelector("dd").textContent = call.arguments;
      }
    }
  }

  for (const [id, made] of elements) {
    if (seen.has(id)) continue;
    made.remove();
    elements.delete(id);
  }
}

const textOf = (content) =>
  typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const paragraph = (text = "") => make("p", { className: "text" }, text);

const article = (ariaLabel, ...children) =>
  make("article", { className: ariaLabel === "You" ? "user" : "", ariaLabel }, ...children);

const thought = () =>
  make("details", { className: "reasoning" }, make("summary", {}, "Thought"), make("p"));

const value = (label, text) => make("dl", {}, make("dt", {}, label), make("dd", {}, text));

function card(kind, name, ...children) {
  const head = make("h2", {}, make("span", { className: "kind" }, kind), ` ${name} `, status());
  const properties = { className: `card ${kind}`, ariaLabel: `${kind} ${name}` };
  return make("div", { role: "group", ...properties }, head, ...children);
}

const status = () => make("span", { className: "status" }, "running");

function setStatus(box, text) {
  const shown = box.querySelector(".status");
  shown.textContent = text;
  shown.className = `status ${text}`;
}
