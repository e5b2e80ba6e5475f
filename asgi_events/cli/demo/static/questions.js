/*
 * The questions of one execution: each is a form while it is open, and then a line that says what
 * became of it. What has happened is also said once, for people who do not see the page.
 */

import { AnswerRefused } from "./client.js";
import { Form, words } from "./form.js";

const ENDS = ["complete", "error", "cancelled", "lost", "end"];

export class Questions {
  #list;
  #news;
  #template;
  /** Of each number what is asked, what has closed it, and its elements once it is drawn. */
  #asked = new Map();

  /** The run of the execution, which takes the answers. */
  run = null;

  constructor({ list, news, template }) {
    this.#list = list;
    this.#news = news;
    this.#template = template;
    setInterval(() => this.#count(), 1000);
  }

  /** How many have been asked. */
  get size() {
    return this.#asked.size;
  }

  /** How many wait for an answer. */
  get open() {
    return [...this.#asked.values()].filter(({ closed }) => !closed).length;
  }

  clear(run) {
    this.run = run;
    this.#asked.clear();
    this.#list.replaceChildren();
    this.#news.textContent = "";
  }

  take(event) {
    if (event.event_type === "reset" && event.reason !== "trimmed") this.clear(this.run);
    else if (event.event_type === "input_request") this.#asked.set(event.n, { request: event, closed: null, sending: "", tried: "" });
    else if (event.event_type === "input_answer") this.#close(event);
    else if (ENDS.includes(event.event_type)) for (const question of this.#asked.values()) question.closed ??= { action: "cancelled" };
  }

  draw() {
    const news = [];
    for (const question of this.#asked.values()) {
      // What a click has just sent is drawn when its response says what it was.
      if (question.sending || question.drawn === question.closed) continue;
      const isNew = !question.view;
      question.view ??= this.#insert(question);
      question.drawn = question.closed;
      if (!question.closed) news.push(`Question ${question.request.n}: ${question.request.message}`);
      else if (drawClosed(question) && !isNew) news.push(`Question ${question.request.n}. ${question.view.closed.textContent}`);
    }
    if (news.length) this.#news.textContent = news.join(" ");
    this.#count();
  }

  #close(event) {
    const question = this.#asked.get(event.n);
    // The response to an answer of this page may have come first, and knows other things.
    if (question) question.closed = { ...question.closed, ...event };
  }

  #insert(question) {
    const { n, message, response_schema: schema, to } = question.request;
    const item = this.#template.content.firstElementChild.cloneNode(true);
    const part = (name) => item.querySelector(`.${name}`);
    const view = { item, part, form: new Form(schema), closed: part("closed") };
    item.dataset.n = n;
    part("message").textContent = message;
    part("about").id = `question-${n}-about`;
    part("asked").setAttribute("aria-describedby", part("about").id);
    part("purpose").textContent = schema.type === "object" ? (schema.description ?? "") : "";
    part("to").textContent = to ? `For ${to}.` : "";
    part("place").replaceWith(view.form.element);
    item.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#answer(question);
    });
    part("decline").addEventListener("click", () => this.#send(question, "decline"));
    this.#list.append(item);
    return view;
  }

  #answer(question) {
    const { form } = question.view;
    const { errors } = form;
    if (errors.length) form.show(errors);
    else this.#send(question, "accept", form.content);
  }

  async #send(question, action, content) {
    if (question.sending) return;
    const { run } = this;
    const { n } = question.request;
    const { form } = question.view;
    question.sending = action;
    form.show([]);
    drawSending(question, "");
    let trouble = "";
    try {
      const { answer } = await (action === "accept" ? run.answer(n, content) : run.decline(n));
      question.tried = "counts";
      question.closed ??= { ...answer, content };
    } catch (error) {
      if (error instanceof AnswerRefused) {
        question.tried = "late";
        question.closed ??= { action: error.action, by: error.by };
      } else if (error.status === 422 && error.problem.errors) {
        trouble = form.show(error.problem.errors).join("\n");
      } else {
        trouble = error.message;
      }
    }
    question.sending = "";
    if (run !== this.run) return;
    drawSending(question, trouble);
    this.draw();
  }

  /** Says how much time is left. */
  #count() {
    for (const { request, closed, view } of this.#asked.values()) {
      if (request.expires && view && !closed) view.part("left").textContent = timeLeft(new Date(request.expires) - Date.now());
    }
  }
}

function drawSending({ sending, view }, trouble) {
  const send = view.part("send");
  send.textContent = sending ? "Sending…" : "Answer";
  for (const button of [send, view.part("decline")]) button.setAttribute("aria-disabled", String(sending !== ""));
  view.part("trouble").textContent = trouble;
  view.part("trouble").hidden = !trouble;
}

/** Puts a line in place of the form, and goes there from a control of it; returns whether it says something new. */
function drawClosed({ request, closed, tried, view }) {
  const { item, part } = view;
  const form = item.querySelector("form");
  const hadFocus = form.contains(document.activeElement);
  form.hidden = true;
  part("was").hidden = false;
  part("asked-before").textContent = request.message;
  const text = outcome(request.response_schema, closed, tried);
  const isNew = text !== view.closed.textContent;
  view.closed.textContent = text;
  item.dataset.action = closed.action;
  if (hadFocus) part("was").focus();
  return isNew;
}

function outcome(schema, { action, by, content }, tried) {
  const who = tried === "counts" ? "by you" : by ? `by ${by}` : "";
  const what = action === "accept" && content !== undefined ? words(schema, content) : "";
  const told = {
    accept: `${["Answered", who].filter(Boolean).join(" ")}${what ? `: ${what}` : ""}.`,
    decline: `${["Declined", who].filter(Boolean).join(" ")}.`,
    expired: "Expired: nobody has answered in time.",
    cancelled: "Closed: nobody waits for an answer any more.",
  };
  const late = tried === "late" ? " Your answer came too late and does not count." : "";
  return (told[action] ?? `Closed: ${action}.`) + late;
}

function timeLeft(milliseconds) {
  if (milliseconds <= 0) return "The time is up.";
  const seconds = Math.ceil(milliseconds / 1000);
  const [minutes, rest] = [Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  if (hours >= 48) return `${Math.floor(hours / 24)} days left`;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(rest)} left`;
}
