/** One rollout over time, and one runtime. */
/** @import {HistoryView, MetricView, Sample, TimelineView} from '../views.ts' */
import { ask } from './ask.js';
import { chart } from './chart.js';
import { badge, el, moment, quiet, section, short, span, table, tiles } from './draw.js';

/** @param {readonly string[]} parts */
const nameOf = (parts) => parts.map(decodeURIComponent).join('/');

/** @param {number} since */
const beginning = (since) =>
  el(
    'p',
    { class: 'quiet' },
    'It is remembered since ',
    moment(since),
    ': a replica that starts begins anew.',
  );

/** @param {HistoryView} history */
const weights = ({ samples }) => {
  const from = samples[0]?.at ?? Date.now();
  return chart({
    label: 'Percent of requests that the canary is allowed, and that it answered',
    from,
    to: Date.now(),
    range: [0, 100],
    lines: [
      { name: 'allowed', kind: 'first', points: samples.map(({ at, weight }) => [at, weight]) },
      {
        name: 'answered',
        kind: 'second',
        points: samples.flatMap(({ at, observed }) => (observed === undefined ? [] : [[at, observed]])),
      },
    ],
  });
};

/** What is known of one metric at each sample. @param {readonly Sample[]} samples @param {string} name */
const seriesOf = (samples, name) =>
  samples.flatMap(({ at, metrics }) => {
    const found = metrics.find((metric) => metric.name === name);
    return found === undefined ? [] : [{ at, ...found }];
  });

/** @param {readonly Sample[]} samples @param {MetricView} metric */
const metricChart = (samples, { name }) => {
  const series = seriesOf(samples, name);
  /** @param {'value' | 'bound'} which @returns {[number, number][]} */
  const line = (which) =>
    series.flatMap(({ at, [which]: value }) =>
      value === undefined ? [] : [/** @type {[number, number]} */ ([at, value])],
    );
  /** @param {'stable' | 'canary'} arm @returns {[number, number, number][]} */
  const interval = (arm) =>
    series.flatMap(({ at, [arm]: band }) =>
      band === undefined ? [] : [/** @type {[number, number, number]} */ ([at, band.low, band.high])],
    );
  /** @type {[number, number, number][]} */
  const between = series.flatMap(({ at, value, bound }) =>
    value === undefined || bound === undefined ? [] : [[at, Math.min(value, bound), Math.max(value, bound)]],
  );
  const bands = [
    // Where each side has an interval of its own, that says more.
    {
      name: 'between estimate and bound',
      kind: 'first',
      points: interval('canary').length > 0 ? [] : between,
    },
    { name: 'stable', kind: 'second', points: interval('stable') },
    { name: 'canary', kind: 'third', points: interval('canary') },
  ].filter(({ points }) => points.length > 0);
  if (line('value').length === 0 && bands.length === 0) return quiet('Nothing could be calculated yet.');
  return chart({
    label: `${name}: the estimate, and the confidence bound that the judge holds it against`,
    from: samples[0]?.at ?? Date.now(),
    to: Date.now(),
    lines: [
      { name: 'estimate', kind: 'first', points: line('value') },
      { name: 'bound', kind: 'second', points: line('bound') },
    ],
    bands,
  });
};

/** @param {Sample} sample */
const sampleText = ({ metrics }) =>
  metrics
    .flatMap(({ name, value, bound }) =>
      value === undefined
        ? []
        : [`${name} ${short(value)}${bound === undefined ? '' : ` (bound ${short(bound)})`}`],
    )
    .join(', ');

export const rollout = {
  title: 'Rollout',
  /** @param {readonly string[]} parts @param {AbortSignal} signal @returns {Promise<HistoryView>} */
  load: (parts, signal) => ask('history', { name: nameOf(parts) }, signal),
  /** @param {HistoryView} history */
  draw: (history) => {
    const { rollout: now, samples, since } = history;
    return [
      el('p', {}, badge(now.phase), ' ', now.message),
      tiles([
        ['Stable', now.stable || 'none'],
        ['Canary', now.canary || 'none'],
        ['Canary gets', `${now.weight} %`],
        ['Answered by it', now.observed === undefined ? 'not known' : `${now.observed} %`],
        ['Step', now.step || 'none'],
      ]),
      section(
        'Runtimes',
        tiles(
          Object.entries(now.runtimes).map(
            ([name, count]) =>
              /** @type {[string, number, string]} */ ([
                name,
                count,
                name === 'failed' && count > 0 ? 'Failed' : '',
              ]),
          ),
        ),
      ),
      el(
        'div',
        { class: 'charts' },
        section(
          'Weight',
          el('p', {}, 'Percent of requests that the canary may answer, and that it answered.'),
          weights(history),
        ),
        ...now.metrics.map((metric) =>
          section(
            metric.name,
            el('p', {}, badge(metric.phase), ' ', metric.message),
            metricChart(samples, metric),
          ),
        ),
      ),
      now.groups.length > 0 &&
        section(
          'Groups',
          table(
            'Groups of the rollout, in their order',
            ['Group', 'Phase', 'Canary gets', 'Message'],
            now.groups.map(({ name, phase, weight, message }) => ({
              key: name,
              cells: [name, badge(phase), `${weight} %`, message],
            })),
          ),
        ),
      section(
        'Numbers',
        table(
          'The last changes, the newest first',
          ['When', 'Adapter', 'Canary gets', 'Answered', 'Metrics'],
          samples
            .slice(-20)
            .toReversed()
            .map((sample) => ({
              key: String(sample.number),
              cells: [
                moment(sample.at),
                sample.adapter,
                `${sample.weight} %`,
                sample.observed === undefined ? '' : `${sample.observed} %`,
                sampleText(sample),
              ],
            })),
        ),
        beginning(since),
      ),
    ];
  },
  /** @param {HistoryView} history */
  news: ({ rollout: { key, phase, weight } }) => `${key} is ${phase}, the canary gets ${weight} percent`,
};

export const node = {
  title: 'Runtime',
  /** @param {readonly string[]} parts @param {AbortSignal} signal @returns {Promise<TimelineView>} */
  load: (parts, signal) => ask('timeline', { name: nameOf(parts) }, signal),
  /** @param {TimelineView} timeline */
  draw: ({ runtime, happenings, since }) => [
    el('p', {}, badge(runtime.state), ' ', runtime.message),
    tiles([
      ['Node', runtime.node || 'none'],
      ['Base model', runtime.baseModel || 'none yet'],
      ['Version', runtime.version],
      ['Plan age', runtime.planAgeMs === undefined ? 'not known here' : span(runtime.planAgeMs)],
    ]),
    section(
      'What happened',
      happenings.length === 0
        ? quiet('Nothing that is remembered.')
        : el(
            'ol',
            { class: 'timeline' },
            ...happenings.map(({ number, at, until, count, what, message }) =>
              el(
                'li',
                { 'data-key': String(number) },
                moment(until),
                ' ',
                el('strong', {}, what),
                count > 1 ? el('span', {}, `, ${count} times since `, moment(at)) : undefined,
                message === '' ? undefined : el('span', { class: 'what' }, message),
              ),
            ),
          ),
      beginning(since),
    ),
    section(
      'Labels',
      table(
        'Labels of the runtime',
        ['Label', 'Value'],
        Object.entries(runtime.labels).map(([name, value]) => ({ key: name, cells: [name, value] })),
      ),
    ),
  ],
  /** @param {TimelineView} timeline */
  news: ({ runtime: { key, state } }) => `${key} is ${state}`,
};
