/** Milliseconds after which a change is told without a frame: a page that is hidden draws none. */
const LONGEST = 1000;

/** What waits for the next frame, and how to stop waiting. */
const waiting = new Map<() => void, () => void>();

/** Calls a function before the page is drawn next, and with it all others that wait for that. */
export function beforeNextFrame(callback: () => void): void {
  if (waiting.has(callback)) return;
  const timer = setTimeout(callAll, LONGEST);
  const frame = globalThis.requestAnimationFrame?.(callAll);
  waiting.set(callback, () => {
    clearTimeout(timer);
    if (frame !== undefined) cancelAnimationFrame(frame);
  });
}

function callAll(): void {
  const all = [...waiting];
  waiting.clear();
  for (const [callback, stop] of all) {
    stop();
    callback();
  }
}
