/** Overview, rollouts and adapters. */
/** @import {AdaptersView, FleetView, Page, RolloutsView, RolloutView, Tiers, Waiting} from '../views.ts' */
import { ask, Refusal } from './ask.js';
import { badge, el, leftOut, linkTo, moment, quiet, section, table, tiles } from './draw.js';

/** What a person may not see is left out of the overview. @template T @param {Promise<T>} asked */
const orNothing = (asked) =>
  asked.catch((error) => {
    if (error instanceof Refusal && error.code === 'VIEWER_FORBIDDEN') return undefined;
    throw error;
  });

/** @param {Waiting} one */
const subject = ({ kind, key }) => {
  if (kind === 'AdapterRollout') return linkTo('rollout', key);
  return kind === 'AdapterRuntime' ? linkTo('node', key) : key;
};

/** @param {Tiers} tiers */
const tierTiles = (tiers) =>
  tiles(Object.entries(tiers).map(([name, count]) => [name, count, count > 0 ? name : '']));

/** @param {AbortSignal} signal @returns {Promise<Page<Waiting>>} */
const askWaiting = (signal) => ask('waiting', {}, signal);
/** @param {string} by @param {AbortSignal} signal @returns {Promise<FleetView>} */
export const askFleet = (by, signal) => ask('fleet', { by }, signal);
/** @param {number} limit @param {AbortSignal} signal @returns {Promise<RolloutsView>} */
const askRollouts = (limit, signal) => ask('rollouts', { limit }, signal);
/** @param {number} limit @param {AbortSignal} signal @returns {Promise<AdaptersView>} */
const askAdapters = (limit, signal) => ask('adapters', { limit }, signal);

/** @param {readonly string[]} _ @param {AbortSignal} signal */
const loadOverview = async (_, signal) => {
  const [waiting, fleet, rollouts, adapters] = await Promise.all([
    askWaiting(signal),
    orNothing(askFleet('', signal)),
    orNothing(askRollouts(1, signal)),
    orNothing(askAdapters(1, signal)),
  ]);
  return { waiting, fleet, rollouts, adapters };
};
/** @typedef {Awaited<ReturnType<typeof loadOverview>>} Seen */

export const overview = {
  title: 'Overview',
  load: loadOverview,
  /** @param {Seen} seen */
  draw: ({ waiting, fleet, rollouts, adapters }) => [
    fleet && section('Runtimes', fleetTiles(fleet)),
    rollouts && section('Rollouts', phaseTiles(rollouts)),
    section(
      'Waits for a person',
      waiting.total === 0
        ? quiet('Nothing does.')
        : table(
            'What waits for a person',
            ['What', 'Kind', 'Why', 'Since', 'Message'],
            waiting.items.map((one) => ({
              key: `${one.kind} ${one.key} ${one.reason}`,
              cells: [subject(one), one.kind, badge(one.reason, 'Waits'), moment(one.since), one.message],
            })),
          ),
      leftOut(waiting.items.length, waiting.total, 'things'),
    ),
    adapters &&
      section(
        'Adapters on runtimes',
        tierTiles(adapters.tiers),
        quiet(`${adapters.total} adapters; each is counted once on each runtime that has it or should.`),
      ),
  ],
  /** What is said aloud when it changes. @param {Seen} seen */
  news: ({ waiting }) => `${waiting.total} things wait for a person`,
};

/** @param {FleetView} fleet */
export const fleetTiles = ({ total }) =>
  tiles([
    ['All', total.runtimes],
    ...Object.entries(total.states).map(
      ([name, count]) => /** @type {[string, number, string]} */ ([name, count, count > 0 ? name : '']),
    ),
  ]);

/** @param {RolloutsView} rollouts */
const phaseTiles = ({ phases }) =>
  tiles(Object.entries(phases).map(([phase, count]) => [phase, count, count > 0 ? phase : '']));

/** @param {RolloutView} rollout */
export const weightText = ({ canary, weight, observed }) =>
  canary === '' ? '' : `${weight} %${observed === undefined ? '' : `, observed ${observed} %`}`;

/** @param {RolloutView} rollout */
const readyText = ({ runtimes: { ready, desired } }) =>
  desired === undefined ? '' : `${ready} of ${desired}`;

export const rollouts = {
  title: 'Rollouts',
  /** @param {readonly string[]} _ @param {AbortSignal} signal */
  load: (_, signal) => askRollouts(500, signal),
  /** @param {RolloutsView} seen */
  draw: ({ total, items }) => [
    total === 0
      ? quiet('There are no rollouts here.')
      : table(
          'Rollouts, those in trouble first',
          ['Rollout', 'Phase', 'Stable', 'Canary', 'Canary gets', 'Step', 'Ready', 'Message'],
          items.map((rollout) => ({
            key: rollout.key,
            cells: [
              linkTo('rollout', rollout.key),
              badge(rollout.phase),
              rollout.stable,
              rollout.canary,
              weightText(rollout),
              rollout.step,
              readyText(rollout),
              rollout.message,
            ],
          })),
        ),
    leftOut(items.length, total, 'rollouts'),
  ],
  /** @param {RolloutsView} seen */
  news: ({ phases }) => `${phases['Degraded']} rollouts are degraded`,
};

export const adapters = {
  title: 'Adapters',
  /** @param {readonly string[]} _ @param {AbortSignal} signal */
  load: (_, signal) => askAdapters(500, signal),
  /** @param {AdaptersView} seen */
  draw: ({ total, items, tiers }) => [
    tierTiles(tiers),
    el(
      'p',
      { class: 'quiet' },
      'Remote: should be there and is on its way. Stored: on the disk. Resident: in RAM, validated. Failed: refused, or could not be fetched.',
    ),
    table(
      'Adapters, those that failed first',
      ['Adapter', 'Base model', 'Remote', 'Stored', 'Resident', 'Failed', 'Serving', 'Message'],
      items.map((row) => ({
        key: row.key,
        cells: [
          row.key,
          row.baseModel,
          row.tiers.Remote,
          row.tiers.Stored,
          row.tiers.Resident,
          row.tiers.Failed > 0 ? badge(String(row.tiers.Failed), 'Failed') : 0,
          row.serving,
          row.message,
        ],
      })),
    ),
    leftOut(items.length, total, 'adapters'),
  ],
  /** @param {AdaptersView} seen */
  news: ({ tiers }) => `adapters failed on ${tiers.Failed} runtimes`,
};
