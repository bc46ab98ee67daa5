/** Asking the server. What came last is kept, so that what did not change is not sent again. */

/** Kept in the memory of the page alone; '' where whoever forwards the page knows who asks. */
let token = '';
/** '' for all namespaces. */
let namespace = '';
/** @type {Map<string, {readonly tag: string, readonly data: unknown}>} */
let known = new Map();
/** Answers that are kept. */
const maxKnown = 50;

/** What the server says why it does not answer. */
export class Refusal extends Error {
  /** @param {{code: string, message: string, advice: string}} said */
  constructor({ code, message, advice }) {
    super(message);
    this.code = code;
    this.advice = advice;
  }
}

/** @param {string} text */
export const useToken = (text) => {
  token = text.trim();
  known = new Map();
};

/** @param {string} name */
export const lookAt = (name) => {
  namespace = name.trim();
};
export const lookedAt = () => namespace;

/**
 * @template T
 * @param {string} path
 * @param {Record<string, string | number>} [query] what is '' is left out
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 * @throws Refusal; TypeError while nothing answers
 */
export const ask = async (path, query = {}, signal) => {
  /** @type {Record<string, string | number>} */
  const all = { ...query, namespace };
  const given = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [[name, String(value)]]));
  const url = `api/${path}?${new URLSearchParams(given)}`;
  const former = known.get(url);
  const response = await fetch(url, {
    headers: {
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...(former === undefined ? {} : { 'if-none-match': former.tag }),
    },
    credentials: 'omit',
    signal: signal ?? null,
  });
  if (response.status === 304 && former !== undefined) return /** @type {T} */ (former.data);
  if (!response.ok) {
    const said = response.json();
    throw new Refusal(
      await said.catch(() => ({
        code: 'NO_ANSWER',
        message: `the answer was ${response.status}`,
        advice: '',
      })),
    );
  }
  // An answer that breaks off is none, and nothing of it is kept.
  const data = await response.json();
  known.delete(url);
  known.set(url, { tag: response.headers.get('etag') ?? '', data });
  const [oldest] = known.keys();
  if (known.size > maxKnown && oldest !== undefined) known.delete(oldest);
  return data;
};
