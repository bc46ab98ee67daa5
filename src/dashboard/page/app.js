/** The page: which view is shown, and that it is renewed. */
/** @import {About} from '../views.ts' */
import { ask, lookAt, lookedAt, Refusal, useToken } from './ask.js';
import { node, rollout } from './details.js';
import { el, moment, renew } from './draw.js';
import { fleet } from './fleet.js';
import { adapters, overview, rollouts } from './lists.js';

/** Milliseconds from an answer to the next question. */
const everyMs = 3_000;
/** For an answer; a connection that hangs is no answer. */
const patienceMs = 20_000;
/** Where it failed, longer and longer. */
const latestMs = 30_000;

/**
 * @typedef {{
 *   readonly title: string,
 *   readonly load: (parts: readonly string[], signal: AbortSignal) => Promise<any>,
 *   readonly draw: (data: any) => readonly import('./draw.js').Child[],
 *   readonly news: (data: any) => string,
 *   readonly chosen?: (event: Event) => boolean,
 * }} View
 */

/** @type {Record<string, View>} */
const views = { '': overview, fleet, rollouts, adapters, rollout, node };

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const [main, trouble, news, about] = [part('main'), part('trouble'), part('news'), part('about')];

let shown = { at: '', news: '' };
let failures = 0;
/** When the last answer came. */
let answeredAt = 0;
/** Refusals to show what is asked for; all others say that it cannot be known now. */
const notForYou = new Set(['VIEWER_UNKNOWN', 'VIEWER_FORBIDDEN', 'VIEW_NOT_FOUND']);
let stop = new AbortController();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @returns {{name: string, parts: string[], view: View}} */
const route = () => {
  const [name = '', ...parts] = location.hash.replace(/^#\/?/, '').split('/');
  const view = Object.hasOwn(views, name) ? views[name] : undefined;
  return { name, parts, view: view ?? overview };
};

/** @param {AbortSignal} signal @returns {Promise<About>} */
const askAbout = (signal) => ask('about', {}, signal);

/** Asks, draws, and asks again after a while; what was asked before is given up. */
const look = async () => {
  clearTimeout(timer);
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  const { view, parts, name } = route();
  const patient = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  try {
    const [told, data] = await Promise.all([askAbout(patient), view.load(parts, patient)]);
    if (signal.aborted) return;
    failures = 0;
    answeredAt = Date.now();
    tell(told);
    draw(view, parts, name, data);
    renew(trouble, []);
  } catch (error) {
    if (signal.aborted) return;
    failures += 1;
    fail(error);
    if (error instanceof Refusal && error.code === 'VIEWER_UNKNOWN') return;
  }
  // A page that nobody looks at asks nothing.
  if (!document.hidden) timer = setTimeout(look, Math.min(latestMs, everyMs * 2 ** failures));
};

/** @param {About} told */
const tell = ({ kind, shownBy, version, namespace }) => {
  const who = kind === 'Operator' ? `as the leader ${shownBy} sees it` : `node ${shownBy}`;
  const what = namespace === undefined ? 'all namespaces' : `namespace ${namespace}`;
  renew(about, [`${what}, ${who}, Adaptlet ${version}`]);
};

/** @param {View} view @param {readonly string[]} parts @param {string} name @param {unknown} data */
const draw = (view, parts, name, data) => {
  const title = parts.length === 0 ? view.title : `${view.title} ${parts.map(decodeURIComponent).join('/')}`;
  document.title = `${title} – Adaptlet`;
  for (const link of document.querySelectorAll('nav a')) {
    const isHere = link.getAttribute('href') === `#/${name}`;
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const isNew = shown.at !== location.hash;
  renew(main, [el('h1', {}, title), ...view.draw(data)]);
  if (isNew && shown.at !== '') main.focus({ preventScroll: true });
  const said = view.news(data);
  // What is heard at once on a new view is its title; later only what changes.
  if (!isNew && said !== shown.news) news.textContent = said;
  shown = { at: location.hash, news: said };
};

/** @param {unknown} error */
const fail = (error) => {
  const isRefused = error instanceof Refusal && notForYou.has(error.code);
  const what = error instanceof Refusal ? `${error.message}. ${error.advice}` : 'Nothing answers.';
  const old =
    answeredAt === 0 ? [] : [' What you see is as it was at ', moment(answeredAt), '; it is tried again.'];
  renew(trouble, [el('p', {}, what, ...(isRefused ? [] : old))]);
  if (!isRefused) return;
  // Of another view, or of what may not be seen any more.
  answeredAt = 0;
  shown = { at: '', news: '' };
  renew(
    main,
    error.code === 'VIEWER_UNKNOWN'
      ? [el('h1', {}, 'Who are you?'), tokenForm()]
      : [el('h1', {}, 'Nothing to see')],
  );
};

const tokenForm = () =>
  el(
    'form',
    { id: 'token' },
    el('label', { for: 'given' }, 'Token'),
    el('input', { id: 'given', name: 'given', type: 'password', autocomplete: 'off', required: '' }),
    el('button', { type: 'submit' }, 'Show'),
    el('p', { class: 'quiet' }, 'It stays in the memory of this page, and goes when you close it.'),
  );

/** @param {FormData} said @param {string} name */
const textOf = (said, name) => {
  const value = said.get(name);
  return typeof value === 'string' ? value : '';
};

document.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const said = new FormData(form);
  if (form.id === 'token') useToken(textOf(said, 'given'));
  if (form.id === 'scope') lookAt(textOf(said, 'namespace'));
  void look();
});
for (const type of ['change', 'input', 'click'])
  main.addEventListener(type, (event) => {
    if (route().view.chosen?.(event) === true) void look();
  });
addEventListener('hashchange', () => void look());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void look();
});

// `?namespace=team-a`, as `kubectl adaptlet dashboard --namespace` opens it.
lookAt(new URLSearchParams(location.search).get('namespace') ?? '');
/** @type {HTMLInputElement} */ (part('namespace')).value = lookedAt();
void look();
