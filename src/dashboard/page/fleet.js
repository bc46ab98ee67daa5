/** The runtimes: in groups, and one by one. */
/** @import {FleetView, GroupView, Page, PlanAges, RuntimeRow} from '../views.ts' */
import { ask } from './ask.js';
import { badge, el, leftOut, linkTo, moment, quiet, section, span, table } from './draw.js';
import { askFleet, fleetTiles } from './lists.js';

const states = ['Away', 'Held', 'Cordoned', 'NotReady', 'Ready'];

/** What is looked for; kept while the page is open. */
const wish = { by: 'baseModel', group: 'all', state: '', text: '', limit: 100 };
const everyGroup = 'all';

/** @param {PlanAges} ages */
const agesText = ({ known, p50, p99, oldest }) =>
  known === 0 ? 'not known here' : `${span(p50)} / ${span(p99)} / ${span(oldest)}`;

/** The shares of the states, as one bar; the numbers are beside it. @param {GroupView} group */
const bar = ({ states: counts, runtimes }) => {
  let x = 0;
  return el(
    'svg',
    { class: 'shares', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...Object.entries(counts).map(([state, count]) => {
      const width = runtimes === 0 ? 0 : (100 * count) / runtimes;
      x += width;
      return width === 0 ? undefined : el('rect', { class: state, x: x - width, y: 0, width, height: 10 });
    }),
  );
};

/** @param {FleetView} fleet @param {string} name */
const nameOfGroup = ({ by }, name) =>
  name === '' ? (by === 'baseModel' ? 'no base model yet' : 'without the label') : name;

/**
 * @param {string} name @param {string} label @param {string} value
 * @param {readonly (readonly [value: string, text: string])[]} options
 */
const choice = (name, label, value, options) =>
  el(
    'label',
    { 'data-key': name },
    `${label} `,
    el(
      'select',
      { name },
      ...options.map(([option, text]) =>
        el('option', { value: option, selected: option === value ? '' : undefined }, text),
      ),
    ),
  );

/** @param {Record<string, string | number>} query @param {AbortSignal} signal @returns {Promise<Page<RuntimeRow>>} */
const askRuntimes = (query, signal) => ask('runtimes', query, signal);

/** @param {readonly string[]} _ @param {AbortSignal} signal */
const load = async (_, signal) => {
  const { by, group, state, text, limit } = wish;
  const query = { by, state, text, limit, ...(group === everyGroup ? {} : { group: group.slice(1) }) };
  const [groups, runtimes] = await Promise.all([askFleet(by, signal), askRuntimes(query, signal)]);
  return { groups, runtimes };
};
/** @typedef {Awaited<ReturnType<typeof load>>} Seen */

export const fleet = {
  title: 'Fleet',
  load,
  /** @param {Seen} seen */
  draw: ({ groups, runtimes }) => [
    fleetTiles(groups),
    section(
      'Groups',
      el(
        'form',
        { class: 'filter' },
        choice('by', 'Group by', wish.by, [
          ['baseModel', 'base model'],
          ...groups.labels.map((key) => /** @type {[string, string]} */ ([key, key])),
        ]),
      ),
      table(
        'Groups of runtimes',
        ['Group', 'Runtimes', 'Shares', ...states, 'Plan age p50 / p99 / oldest'],
        groups.groups.map((group) => ({
          key: group.name,
          cells: [
            nameOfGroup(groups, group.name),
            group.runtimes,
            bar(group),
            ...Object.values(group.states),
            agesText(group.ages),
          ],
        })),
      ),
      leftOut(groups.groups.length, groups.groups.length + groups.leftOut, 'groups'),
      quiet(
        `Plan age: for how long a runtime has lacked something of its plan. It is known of ${groups.total.ages.known} runtimes.`,
      ),
    ),
    section(
      'Runtimes',
      el(
        'form',
        { class: 'filter' },
        choice('state', 'State', wish.state, [
          ['', 'any'],
          ...states.map((state) => /** @type {[string, string]} */ ([state, state])),
        ]),
        choice('group', 'Group', wish.group, [
          [everyGroup, 'any'],
          // What stands before the name keeps a group that has none apart from "any".
          ...groups.groups.map(
            ({ name }) => /** @type {[string, string]} */ ([`=${name}`, nameOfGroup(groups, name)]),
          ),
        ]),
        el(
          'label',
          { 'data-key': 'text' },
          'Name contains ',
          el('input', { name: 'text', type: 'search', maxlength: 200, autocomplete: 'off' }),
        ),
      ),
      table(
        'Runtimes, those away first',
        ['Runtime', 'State', 'Since', 'Node', 'Base model', 'Plan age', 'Message'],
        runtimes.items.map((row) => ({
          key: row.key,
          cells: [
            linkTo('node', row.key),
            badge(row.state),
            moment(row.since),
            row.node,
            row.baseModel,
            row.planAgeMs === undefined ? '' : span(row.planAgeMs),
            row.message,
          ],
        })),
      ),
      leftOut(runtimes.items.length, runtimes.total, 'runtimes'),
      runtimes.total > runtimes.items.length && wish.limit < 500
        ? el('button', { type: 'button', name: 'more' }, 'Show up to 500')
        : undefined,
    ),
  ],
  /** @param {Seen} seen */
  news: ({ groups }) => `${groups.total.states.Away} of ${groups.total.runtimes} runtimes are away`,
  /** A person chose something. True: it is to be loaded anew. @param {Event} event */
  chosen: (event) => {
    const { target, type } = event;
    if (target instanceof HTMLButtonElement && target.name === 'more' && type === 'click') {
      wish.limit = 500;
      return true;
    }
    if (target instanceof HTMLInputElement && target.name === 'text' && type === 'input') {
      wish.text = target.value.trim();
      return true;
    }
    if (!(target instanceof HTMLSelectElement) || type !== 'change') return false;
    if (target.name === 'by') Object.assign(wish, { by: target.value, group: everyGroup });
    if (target.name === 'state') wish.state = target.value;
    if (target.name === 'group') wish.group = target.value;
    return true;
  },
};
