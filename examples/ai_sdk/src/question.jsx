// What the actor asks, with the form that answers it. The actor waits until it is closed.
import { createContext, useContext, useState } from "react";

export const Answers = createContext(null); // approve, and output

export const isOpen = ({ toolName, state }) =>
  toolName === "ask" && (state === "approval-requested" || state === "input-available");

const CLOSED = { "output-available": "answered", "output-denied": "declined" };

export function Question({ part }) {
  const { toolCallId, state, input, approval, errorText } = part;
  const { approve, output } = useContext(Answers);
  const [isSent, setSent] = useState(false);
  const isYesOrNo = state === "approval-requested";
  const decline = { toolCallId, state: "output-error", errorText: "Declined" };

  function send(give, answer) {
    setSent(true);
    give(answer);
  }

  function submit(event) {
    event.preventDefault();
    if (isYesOrNo) send(approve, { id: approval.id, approved: true });
    else send(output, { toolCallId, output: valueOf(input.response_schema, event.target) });
  }

  function refuse() {
    if (isYesOrNo) send(approve, { id: approval.id, approved: false });
    else send(output, decline);
  }

  return (
    <form className="card question" aria-label={input.message} onSubmit={submit}>
      <p>{input.message}</p>
      {isOpen(part) && !isYesOrNo && <Fields schema={input.response_schema} />}
      {isOpen(part) ? (
        <p>
          <button className="primary" disabled={isSent}>{isYesOrNo ? "Yes" : "Answer"}</button>{" "}
          <button type="button" onClick={refuse} disabled={isSent}>{isYesOrNo ? "No" : "Decline"}</button>
        </p>
      ) : (
        <p className="note">{errorText ?? CLOSED[state] ?? "sent"}</p>
      )}
    </form>
  );
}

// The schema is one field, or a flat object of fields: docs/questions.md, "Pages".
const fieldsOf = (schema) =>
  schema.type === "object" ? Object.entries(schema.properties) : [["Answer", schema]];

function Fields({ schema }) {
  return fieldsOf(schema).map(([name, field]) => (
    <label key={name}>
      {field.title ?? name} <Field name={name} field={field} isNeeded={isNeeded(schema, name)} />
    </label>
  ));
}

const isNeeded = ({ type, required = [] }, name) => type !== "object" || required.includes(name);

function optionsOf({ enum: values, enumNames, oneOf, anyOf = oneOf }) {
  return anyOf ?? values?.map((value, i) => ({ const: value, title: enumNames?.[i] ?? value }));
}

function Field({ name, field, isNeeded }) {
  const options = optionsOf(field.items ?? field);
  if (options) {
    return (
      <select name={name} defaultValue={field.default} multiple={field.type === "array"}>
        {options.map(({ const: value, title }) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    );
  }
  if (field.type === "boolean") return <input type="checkbox" name={name} defaultChecked={field.default} />;
  const type = { date: "date", email: "email", uri: "url" }[field.format] ?? (isNumber(field) ? "number" : "text");
  return <input type={type} name={name} defaultValue={field.default} required={isNeeded} step="any" />;
}

const isNumber = ({ type }) => type === "integer" || type === "number";

function valueOf(schema, form) {
  const data = new FormData(form);
  const values = fieldsOf(schema).map(([name, field]) => [name, fieldValue(name, field, data)]);
  const given = values.filter(([, value]) => value !== "");
  return schema.type === "object" ? Object.fromEntries(given) : values[0][1];
}

function fieldValue(name, field, data) {
  if (field.type === "boolean") return data.has(name);
  if (field.type === "array") return data.getAll(name);
  const text = data.get(name) ?? "";
  return isNumber(field) && text !== "" ? Number(text) : text;
}
