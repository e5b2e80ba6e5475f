import type { Call, State } from "./state.js";

export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends readonly (infer Item)[] ? Item[] : T[Key] };

const OPEN = ["pending", "started", "retrying"];

/**
 * Where the calls of states are in the lists of their parents. States that come from one another
 * share it, so it is only a hint: in a state of another branch the place may hold another call.
 */
const places = new WeakMap<object, Map<string, number>>();

/** A state that is being made from another one: it copies a part of it before the first change. */
export class Draft {
  readonly state: Mutable<State>;
  readonly #places: Map<string, number>;
  readonly #owned = new Set<unknown>();

  constructor(from: State) {
    this.state = { ...from } as Mutable<State>;
    const known = places.get(from);
    this.#places = known ?? new Map();
    if (!known) this.#find(from.tree);
    places.set(this.state, this.#places);
  }

  /** Returns a list or an object that may be changed: itself, if it was made for this draft. */
  own<T extends object>(value: T): T {
    if (this.#owned.has(value)) return value;
    const copy = Array.isArray(value) ? value.slice() : { ...value };
    this.#owned.add(copy);
    return copy as T;
  }

  /** Returns the call at an address, to change; it and its ancestors are made where they are missing. */
  call(address: string): Mutable<Call> {
    const slash = address.lastIndexOf("/");
    let siblings: Call[];
    if (slash < 0) siblings = this.state.tree = this.own(this.state.tree);
    else {
      const parent = this.call(address.slice(0, slash));
      siblings = parent.children = this.own(parent.children);
    }
    let place = this.#places.get(address) ?? -1;
    if (place >= 0 && siblings[place]?.address !== address) place = siblings.findIndex((call) => call.address === address);
    if (place < 0) {
      const name = address.slice(slash + 1).replace(/#.*/, "");
      const call: Call = { address, name, kind: "", status: "pending", children: [] };
      this.#owned.add(call);
      place = siblings.push(call) - 1;
      this.#places.set(address, place);
    }
    return (siblings[place] = this.own(siblings[place]!)) as Mutable<Call>;
  }

  /** Marks the calls that will never report again. */
  close(calls: readonly Call[] = this.state.tree): void {
    for (const { address, status, children } of calls) {
      if (OPEN.includes(status)) this.call(address).status = "unfinished";
      this.close(children);
    }
  }

  #find(calls: readonly Call[]): void {
    calls.forEach(({ address, children }, place) => {
      this.#places.set(address, place);
      this.#find(children);
    });
  }
}
