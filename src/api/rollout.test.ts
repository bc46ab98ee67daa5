import { describe, it } from 'vitest';
import { document, expectMessages, type Fields, type Row } from './manifests.fixture.ts';

const rollout = (fields: Fields = {}) => document('AdapterRollout', { adapter: 'sql-v1', ...fields });

const steps = (...list: unknown[]) => rollout({ strategy: { canary: { steps: list } } });

const rows: readonly Row[] = [
  [
    'an adapter in another namespace',
    rollout({ adapter: 'team-b/sql' }),
    'spec.adapter: must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ],
  [
    'a history limit that is too small',
    rollout({ revisionHistoryLimit: 1 }),
    'spec.revisionHistoryLimit: must be at least 2',
  ],
  [
    'a shadow without an end',
    rollout({ strategy: { shadow: {} } }),
    'spec.strategy.shadow.duration is required',
  ],
  [
    'no strategy in a strategy',
    rollout({ strategy: {} }),
    'spec.strategy: must have exactly one of canary, blueGreen, abTest, shadow, for example blueGreen: {}; it has none',
  ],
  [
    'two strategies',
    rollout({ strategy: { canary: { steps: [] }, blueGreen: {} } }),
    'spec.strategy: must have exactly one of canary, blueGreen, abTest, shadow, for example blueGreen: {}; it has canary, blueGreen: remove all but one',
  ],
  [
    'a switch by itself after a time that a person should make',
    rollout({ strategy: { blueGreen: { autoPromotion: false, autoPromotionAfter: '5m' } } }),
    'spec.strategy.blueGreen: autoPromotionAfter needs autoPromotion: true; leave it out to wait for a person',
  ],
  [
    'a time to keep the former stable in RAM',
    rollout({ strategy: { blueGreen: { scaleDownDelay: '30s' } } }),
    'unknown field spec.strategy.blueGreen.scaleDownDelay',
  ],
  [
    'a share of runtimes that is no percentage',
    steps({ preload: { successThreshold: '0%' } }),
    'spec.strategy.canary.steps[0].preload.successThreshold: must be a whole percentage from 1% to 100%, such as 90%',
  ],
  [
    'a deadline without a unit',
    rollout({ progressDeadline: '600' }),
    'spec.progressDeadline: must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)',
  ],
  [
    'a mismatch that is judged against stable once more',
    steps({
      analysis: {
        duration: '1m',
        metrics: [{ name: 'm', source: { builtin: 'Mismatch' }, judge: { sequential: {} } }],
      },
    }),
    'spec.strategy.canary.steps[0].analysis.metrics[0]: Mismatch needs judge.threshold without of and quantile: it is a comparison of both sides already',
  ],
  [
    'more copies than requests',
    steps({ setMirrorRoute: { percentage: 101 } }),
    'spec.strategy.canary.steps[0].setMirrorRoute.percentage: must be at most 100',
  ],
  [
    'a group with the name of the last one',
    rollout({ groups: [{ name: 'rest' }] }),
    'spec.groups[0].name: must not be rest: that is the group of the runtimes that are in no other; leave it out, it is always there',
  ],
  [
    'two groups of one name',
    rollout({ groups: [{ name: 'pilot' }, { name: 'pilot' }] }),
    'spec.groups[1].name: must be unique in the list, item 0 has the name pilot already',
  ],
  [
    'a limit that is a bare number',
    rollout({ groups: [{ name: 'pilot', limit: 5 }] }),
    'spec.groups[0].limit: must be a map of fields',
  ],
  [
    'a limit of nobody',
    rollout({ groups: [{ name: 'pilot', limit: { count: 0 } }] }),
    'spec.groups[0].limit.count: must be at least 1',
  ],
  [
    'a limit that is said twice',
    rollout({ groups: [{ name: 'pilot', maxFailures: { count: 1, percentage: '5%' } }] }),
    'spec.groups[0].maxFailures: must have exactly one of count, percentage, for example count: 2; it has count, percentage: remove all but one',
  ],
  [
    'an action that would be RollbackAll by another name',
    rollout({ groups: [{ name: 'pilot', errorAction: 'Abort' }] }),
    'spec.groups[0].errorAction: must be one of Pause, RollbackGroup, RollbackAll',
  ],
  ['no groups in a list', rollout({ groups: [] }), 'spec.groups: must have at least 1 item'],
  [
    'groups with all that they may say',
    rollout({
      groups: [
        { name: 'lab', selector: { matchLabels: { site: 'lab' } }, bakeTime: '10m', successAction: 'Pause' },
        {
          name: 'tenth',
          limit: { percentage: '10%' },
          maxConcurrency: { count: 5 },
          maxUnavailable: { percentage: '20%' },
          successThreshold: '95%',
          maxFailures: { count: 0 },
          progressDeadline: '1h',
          errorAction: 'RollbackGroup',
        },
      ],
    }),
  ],
  ['a shadow with a limit', rollout({ strategy: { shadow: { duration: '1h', maxMismatch: '5%' } } })],
  ['blue-green with its defaults', rollout({ strategy: { blueGreen: {} } })],
  ['a preload of most runtimes', steps({ preload: { successThreshold: '90%' } }, { preload: {} })],
  [
    'a weight above 100',
    steps({ setWeight: 101 }),
    `spec.strategy.canary.steps[0].setWeight: must be at most 100`,
  ],
  [
    'an empty step',
    steps({}),
    `spec.strategy.canary.steps[0]: must have exactly one of preload, setWeight, pause, analysis, setMirrorRoute, for example setWeight: 20; it has none`,
  ],
  [
    'a step with two verbs',
    steps({ setWeight: 1, pause: {} }),
    `spec.strategy.canary.steps[0]: must have exactly one of preload, setWeight, pause, analysis, setMirrorRoute, for example setWeight: 20; it has setWeight, pause: remove all but one`,
  ],
  [
    'a step that is spelled wrong',
    steps({ setWieght: 5 }),
    `unknown field spec.strategy.canary.steps[0].setWieght, did you mean setWeight`,
  ],
  ['a step that is a text', steps('pause'), `spec.strategy.canary.steps[0]: must be a map of fields`],
  [
    'a pause that is written as nothing',
    steps({ pause: null }),
    `spec.strategy.canary.steps[0].pause: must be a map of fields, but nothing is written there`,
  ],
  [
    'too many steps',
    steps(...Array.from({ length: 65 }, () => ({ setWeight: 1 }))),
    'spec.strategy.canary.steps: must have at most 64 items',
  ],
  [
    'steps that are a map',
    rollout({ strategy: { canary: { steps: {} } } }),
    'spec.strategy.canary.steps: must be a list',
  ],
  ['no steps at all', steps()],
  ['a pause without an end', steps({ setWeight: 5 }, { pause: {} })],
];

describe('an AdapterRollout, good or bad', () => {
  it.each(rows)('%s', (_, text, ...messages) => {
    expectMessages(text, messages);
  });
});
