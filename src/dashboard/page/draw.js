/** Making and renewing elements. Whatever comes from the server becomes text or an attribute, never markup. */

/** @typedef {Node | string | number | false | undefined} Child */

const svgNames = new Set(['svg', 'path', 'line', 'rect', 'text', 'title', 'g']);

/**
 * @param {string} name
 * @param {Record<string, string | number | false | undefined>} attributes false and undefined: not there
 * @param {...Child} children
 * @returns {Element}
 */
export const el = (name, attributes, ...children) => {
  const made = svgNames.has(name)
    ? document.createElementNS('http://www.w3.org/2000/svg', name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) made.setAttribute(key, String(value));
  for (const child of children)
    if (child !== undefined && child !== false)
      made.append(typeof child === 'number' ? String(child) : child);
  return made;
};

/**
 * Makes `old` like `next` and keeps every element that stays: the focus, the selection and what is scrolled stay too.
 * @param {Element} old
 * @param {readonly Child[]} next
 */
export const renew = (old, next) => {
  const draft = old.cloneNode(false);
  for (const child of next)
    if (child !== undefined && child !== false)
      /** @type {Element} */ (draft).append(typeof child === 'number' ? String(child) : child);
  const focused = document.activeElement;
  renewChildren(old, draft);
  // What was put to another place stays, and has lost the focus.
  if (focused instanceof HTMLElement && focused.isConnected && document.activeElement !== focused)
    focused.focus({ preventScroll: true });
};

/** @param {Node} old @param {Node} next */
const renewChildren = (old, next) => {
  const wanted = [...next.childNodes];
  const stays = new Set(wanted.flatMap((child) => keyOf(child) ?? []));
  /** @type {Map<string, Element>} */
  const known = new Map();
  // The list of nodes changes with each that goes.
  const before = Array.from(old.childNodes);
  for (const child of before) {
    const key = keyOf(child);
    if (key === undefined || !(child instanceof Element)) continue;
    if (!stays.has(key)) child.remove();
    else if (!known.has(key)) known.set(key, child);
  }
  wanted.forEach((child, at) => {
    const there = old.childNodes[at];
    const key = keyOf(child);
    const same = key === undefined ? undefined : known.get(key);
    if (key !== undefined) known.delete(key);
    if (same !== undefined && child instanceof Element && same.nodeName === child.nodeName) {
      if (same !== there) old.insertBefore(same, there ?? null);
      renewElement(same, child);
    } else if (there === undefined) old.appendChild(child);
    else if (key !== undefined || keyOf(there) !== undefined) old.insertBefore(child, there);
    else if (there.nodeName !== child.nodeName) old.replaceChild(child, there);
    else if (there instanceof Element && child instanceof Element) renewElement(there, child);
    else if (there.nodeValue !== child.nodeValue) there.nodeValue = child.nodeValue;
  });
  while (old.childNodes.length > wanted.length && old.lastChild !== null) old.removeChild(old.lastChild);
};

/** @param {Node} node @returns {string | undefined} */
const keyOf = (node) => (node instanceof Element ? (node.getAttribute('data-key') ?? undefined) : undefined);

/** @param {Element} old @param {Element} next */
const renewElement = (old, next) => {
  // The list of attributes changes with each that goes.
  for (const name of old.getAttributeNames()) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const chosen = next instanceof HTMLSelectElement ? next.value : undefined;
  renewChildren(old, next);
  // What somebody once chose no longer follows the attribute.
  if (old instanceof HTMLSelectElement && chosen !== undefined && old.value !== chosen) old.value = chosen;
};

/**
 * @param {string} caption
 * @param {readonly string[]} heads
 * @param {readonly {readonly key: string, readonly cells: readonly Child[]}[]} rows the first cell is the head of its row
 */
export const table = (caption, heads, rows) =>
  el(
    'div',
    // What is wider than the screen is scrolled, also by the keyboard.
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    el(
      'table',
      {},
      el('caption', { class: 'unseen' }, caption),
      el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
      el(
        'tbody',
        {},
        ...rows.map(({ key, cells: [first, ...others] }) =>
          el(
            'tr',
            { 'data-key': key },
            el('th', { scope: 'row' }, first),
            ...others.map((cell) => el('td', {}, cell)),
          ),
        ),
      ),
    ),
  );

/** @param {string} text @param {string} [kind] of the state: it decides the colour, and the text says it too */
export const badge = (text, kind = text) =>
  el('span', { class: `badge ${kind.replaceAll(/[^A-Za-z]/g, '')}` }, text);

/** @param {readonly (readonly [name: string, value: Child, kind?: string])[]} numbers */
export const tiles = (numbers) =>
  el(
    'dl',
    { class: 'tiles' },
    ...numbers.map(([name, value, kind = '']) =>
      el('div', { class: `tile ${kind}`, 'data-key': name }, el('dt', {}, name), el('dd', {}, value)),
    ),
  );

/** @param {string} title @param {...Child} content */
export const section = (title, ...content) =>
  el('section', { 'data-key': title }, el('h2', {}, title), ...content);

/** @param {string} text */
export const quiet = (text) => el('p', { class: 'quiet' }, text);

/** @param {number} shown @param {number} total @param {string} what */
export const leftOut = (shown, total, what) =>
  total > shown ? quiet(`${total - shown} more ${what} are not in this list.`) : undefined;

/** A moment, as the clock of the browser shows it. @param {number | undefined} at */
export const moment = (at) =>
  at === undefined
    ? ''
    : el(
        'time',
        { datetime: new Date(at).toISOString() },
        new Date(at).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' }),
      );

/** @param {number} ms */
export const span = (ms) => {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
};

/** @param {number} value */
export const short = (value) =>
  Math.abs(value) >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(3)));

/** A link to what is known of one object. @param {'node' | 'rollout'} view @param {string} key */
export const linkTo = (view, key) =>
  el('a', { href: `#/${view}/${key.split('/').map(encodeURIComponent).join('/')}` }, key);
