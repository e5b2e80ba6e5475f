/*
 * Draws the form of a question from its `response_schema` alone, reads the answer, and shows what
 * is wrong with it. Nothing here knows the demo: take the file for a page of yours.
 */

let count = 0; // of the fields of the page, for their ids

/** A form. Put its element into a <form novalidate>: the server judges the answer. */
export class Form {
  /** The fields by their names; the only field of a form without names is "". */
  #fields = new Map();
  #isFlat;

  constructor(schema) {
    this.element = create("div", { className: "fields" });
    this.#isFlat = schema.type !== "object";
    const properties = this.#isFlat ? { "": schema } : schema.properties;
    const required = this.#isFlat ? [""] : (schema.required ?? []);
    for (const [name, property] of Object.entries(properties)) {
      const field = drawField(name, property, required.includes(name));
      this.#fields.set(name, field);
      this.element.append(field.element);
    }
  }

  /** The answer as JSON; a field that is left empty is not in it. */
  get content() {
    const entries = [...this.#fields].map(([name, { read }]) => [name, read()]);
    if (this.#isFlat) return entries[0][1];
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  /** What cannot be read as a value, a number with letters say, as a 422 would say it. */
  get errors() {
    const wrong = (element) => [...element.querySelectorAll("input")].find((input) => input.validity.badInput);
    return [...this.#fields].flatMap(([name, { element }]) => {
      const input = wrong(element);
      return input ? [{ loc: this.#isFlat ? [] : [name], msg: input.validationMessage }] : [];
    });
  }

  /** Shows the errors of a 422 beside their fields, and goes to the first; returns those of no field. */
  show(errors) {
    const others = [];
    const messages = new Map([...this.#fields.keys()].map((name) => [name, []]));
    for (const error of errors) {
      const name = this.#isFlat ? "" : String(error.loc[0]);
      (messages.get(name) ?? others).push(error.msg);
    }
    const wrong = [...this.#fields].filter(([name, { mark }]) => mark(messages.get(name).join(" ")));
    wrong[0]?.[1].first.focus();
    return others;
  }
}

/** An answer in words, as the labels of its form have it. */
export function words(schema, content) {
  if (schema.type !== "object") return word(schema, content);
  const parts = Object.entries(schema.properties).filter(([name]) => content?.[name] !== undefined);
  return parts.map(([name, property]) => `${property.title ?? name}: ${word(property, content[name])}`).join(", ");
}

function word(schema, value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map((each) => word(schema.items, each)).join(", ") || "none";
  return optionsOf(schema)?.find((option) => option.value === value)?.title ?? String(value);
}

// --------------------------------------------------------------------------------------- fields

/** Returns a field: its element, its first control, what reads its value, and what marks it as wrong. */
function drawField(name, schema, required) {
  const id = `field-${(count += 1)}`;
  const draw = { boolean: drawYesOrNo, array: drawSome }[schema.type] ?? (optionsOf(schema) ? drawOne : drawInput);
  const title = schema.title ?? (name || "Your answer");
  const hint = [schema.description, limitsOf(schema)].filter(Boolean).join(" · ");
  const error = create("small", { id: `${id}-error`, className: "error", hidden: true });

  const { element, described, controls, first, read } = draw({ id, schema, required, label: labelOf(title, required) });
  if (hint) element.append(create("small", { id: `${id}-hint`, className: "muted", textContent: hint }));
  element.append(error);
  described.setAttribute("aria-describedby", hint ? `${id}-hint ${error.id}` : error.id);
  const mark = (message) => {
    error.hidden = !message;
    error.textContent = message;
    for (const control of controls) control.setAttribute("aria-invalid", String(message !== ""));
    return message !== "";
  };
  return { element, first, read, mark };
}

function labelOf(title, required) {
  return required ? [title] : [title, " ", create("span", { className: "muted", textContent: "(optional)" })];
}

function drawInput({ id, schema, required, label }) {
  const control = create(schema.maxLength > 100 ? "textarea" : "input", { id, required, autocomplete: "off" });
  if (control.localName === "input") control.type = inputType(schema);
  control.value = inputValue(schema, schema.default);
  const limits = { min: schema.minimum, max: schema.maximum, step: { integer: 1, number: "any" }[schema.type] };
  for (const [limit, value] of Object.entries({ ...limits, minlength: schema.minLength, maxlength: schema.maxLength })) {
    if (value !== undefined) control.setAttribute(limit, value);
  }
  // An empty text is an answer only where leaving it out would mean another one.
  const mayBeEmpty = schema.type === "string" && !schema.format && !required && schema.default !== undefined;
  const read = () => (control.value === "" && !mayBeEmpty ? undefined : valueOf(schema, control.value));
  return { ...labelled(label, control), read };
}

/** One of several, in a <select>. */
function drawOne({ id, schema, required, label }) {
  const control = create("select", { id, required });
  const options = optionsOf(schema);
  if (schema.default === undefined) control.append(new Option(required ? "Choose…" : "No answer", ""));
  options.forEach(({ value, title }, index) => {
    const isDefault = value === schema.default;
    control.append(new Option(title, String(index), isDefault, isDefault));
  });
  return { ...labelled(label, control), read: () => options[control.value || -1]?.value };
}

function drawYesOrNo({ id, schema, required, label }) {
  const { element, inputs } = drawGroup(id, label, "radio", ["Yes", "No"], (index) => schema.default === !index);
  element.setAttribute("role", "radiogroup");
  element.setAttribute("aria-required", String(required));
  const read = () => (inputs.some((input) => input.checked) ? inputs[0].checked : undefined);
  return { element, described: element, controls: [element], first: inputs[0], read };
}

/** Some of several, in checkboxes. */
function drawSome({ id, schema, required, label }) {
  const options = optionsOf(schema.items);
  const titles = options.map(({ title }) => title);
  const { element, inputs } = drawGroup(id, label, "checkbox", titles, (index) => schema.default?.includes(options[index].value));
  const read = () => {
    const chosen = options.filter((_, index) => inputs[index].checked).map(({ value }) => value);
    return chosen.length || required || schema.default !== undefined ? chosen : undefined;
  };
  return { element, described: element, controls: inputs, first: inputs[0], read };
}

function drawGroup(id, label, type, titles, isChecked) {
  const element = create("fieldset", { className: "field" });
  const legend = create("legend", {}, ...label);
  const inputs = titles.map((_, index) => create("input", { type, id: `${id}-${index}`, name: id, checked: isChecked(index) ?? false }));
  const choices = titles.map((title, index) => create("label", { className: "choice" }, inputs[index], title));
  element.append(legend, create("div", { className: "choices" }, ...choices));
  return { element, inputs };
}

function labelled(label, control) {
  const element = create("div", { className: "field" }, create("label", { htmlFor: control.id }, ...label), control);
  return { element, described: control, controls: [control], first: control };
}

// --------------------------------------------------------------------------------------- values

function optionsOf({ enum: values, enumNames, oneOf, anyOf = oneOf }) {
  const titled = anyOf?.map((option) => ({ value: option.const, title: option.title }));
  return titled ?? values?.map((value, index) => ({ value, title: enumNames?.[index] ?? String(value) }));
}

function inputType({ type, format }) {
  if (type !== "string") return "number";
  return { date: "date", "date-time": "datetime-local", email: "email", uri: "url" }[format] ?? "text";
}

/** The value of a control for one of JSON; a moment is shown in the time of this place. */
function inputValue({ format }, value) {
  if (value === undefined) return "";
  if (format !== "date-time") return String(value);
  const moment = new Date(value);
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function valueOf({ type, format }, text) {
  if (type !== "string") return Number(text);
  return format === "date-time" ? new Date(text).toISOString() : text;
}

function limitsOf({ type, minimum, maximum, minItems, maxItems, maxLength }) {
  const [least, most] = type === "array" ? [minItems, maxItems] : [minimum, maximum];
  if (least !== undefined && most !== undefined) return `${least} to ${most}`;
  if (least !== undefined) return `at least ${least}`;
  if (most !== undefined) return `at most ${most}`;
  return maxLength === undefined ? "" : `at most ${maxLength} characters`;
}

function create(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
