/** A block of an event stream, with data. */
export interface Block {
  event: string;
  data: string;
  /** The id of this block; empty if it has none. */
  id: string;
}

/**
 * Turns the bytes of an event stream, in chunks of any size, into blocks.
 *
 * Spec: https://html.spec.whatwg.org/multipage/server-sent-events.html, "Interpreting an event
 * stream".
 */
export class Decoder {
  /** The milliseconds to wait that were told last, maybe in a block that is not complete. */
  retry: number | undefined;

  readonly #utf8 = new TextDecoder(); // drops a byte order mark
  #pending = "";
  #afterCR = false;
  #block = emptyBlock();

  /** Returns the blocks that `chunk` completes. */
  feed(chunk: Uint8Array): Block[] {
    let text = this.#utf8.decode(chunk, { stream: true });
    if (!text) return [];
    // A CR ends its line at once: to wait for the LF would delay the last event of a quiet stream.
    if (this.#afterCR && text[0] === "\n") text = text.slice(1);
    this.#afterCR = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#pending + lines[0];
    this.#pending = lines.pop()!;
    const blocks: Block[] = [];
    for (const line of lines) {
      if (line) this.#take(line);
      else this.#dispatch(blocks);
    }
    return blocks;
  }

  #take(line: string): void {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) as unknown as [string, string, string];
    const block = this.#block;
    if (name === "data") block.data += `${value}\n`;
    else if (name === "event") block.event = value;
    else if (name === "id" && !value.includes("\0")) block.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #dispatch(blocks: Block[]): void {
    const block = this.#block;
    if (block.data) blocks.push({ ...block, data: block.data.slice(0, -1) });
    this.#block = emptyBlock();
  }
}

const emptyBlock = (): Block => ({ event: "", data: "", id: "" });
