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
    'a strategy that comes later',
    rollout({ strategy: { blueGreen: {} } }),
    'spec.strategy.canary is required',
    'unknown field spec.strategy.blueGreen',
  ],
  [
    'a weight above 100',
    steps({ setWeight: 101 }),
    `spec.strategy.canary.steps[0].setWeight: must be at most 100`,
  ],
  [
    'an empty step',
    steps({}),
    `spec.strategy.canary.steps[0]: must have exactly one of setWeight, pause, for example setWeight: 20; it has none`,
  ],
  [
    'a step with two verbs',
    steps({ setWeight: 1, pause: {} }),
    `spec.strategy.canary.steps[0]: must have exactly one of setWeight, pause, for example setWeight: 20; it has setWeight, pause: remove all but one`,
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
