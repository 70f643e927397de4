// @ts-check

/** What a request of the page failed with. */
export class Fault extends Error {}

/**
 * @param {string} path
 * @param {Record<string, any>} [asked] left out when undefined or empty
 * @param {AbortSignal} [signal]
 */
export async function get(path, asked = {}, signal) {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(asked)) {
    if (value !== undefined && value !== null && value !== "") words.set(key, String(value));
  }
  const query = words.toString();
  const response = await fetch(`/api/${path}${query ? `?${query}` : ""}`, { signal });
  if (!response.ok) throw new Fault((await response.text()).trim() || response.statusText);
  const answer = await response.json();
  if (answer.fault) throw new Fault(answer.fault);
  return answer;
}

/** @returns {(work: (signal: AbortSignal) => Promise<void>) => Promise<void>} runs one at a time, the last one wins */
export function latest() {
  let running = new AbortController();
  return async (work) => {
    running.abort();
    const own = (running = new AbortController());
    try {
      await work(own.signal);
    } catch (error) {
      if (!own.signal.aborted) throw error;
    }
  };
}
