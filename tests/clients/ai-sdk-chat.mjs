// The chat of the AI SDK outside React: its own state, with nothing of ours in between.
export const VERSIONS = ["ai5", "ai6", "ai7"];

export async function makeChat(version, { fetch, api, messages = [], ...options }) {
  const { AbstractChat, DefaultChatTransport } = await import(version);
  const state = {
    status: "ready",
    error: undefined,
    messages,
    pushMessage(message) {
      this.messages = [...this.messages, message];
    },
    popMessage() {
      this.messages = this.messages.slice(0, -1);
    },
    replaceMessage(index, message) {
      this.messages = this.messages.map((m, i) => (i === index ? structuredClone(message) : m));
    },
    snapshot: (value) => structuredClone(value),
  };
  class Chat extends AbstractChat {}
  return new Chat({ state, transport: new DefaultChatTransport({ api, fetch }), ...options });
}
