import { expect, it } from 'vitest';
import { RolloutHistory } from './history.ts';
import { planTaken, Timeline } from './timeline.ts';
import type { RolloutView } from './views.ts';

const rollout = (key: string, weight: number): RolloutView => ({
  key,
  phase: 'Progressing',
  reason: '',
  message: `at ${weight}`,
  stable: 'v1',
  canary: 'v2',
  weight,
  step: '1/2',
  groups: [],
  runtimes: {},
  metrics: [{ name: 'errors', phase: 'Running', message: 'so far', value: weight / 100, bound: 0 }],
});

it('remembers numbers once for each change of them, and no texts', () => {
  const history = new RolloutHistory();
  history.saw(rollout('a/x', 10), 1);
  history.saw({ ...rollout('a/x', 10), message: 'other words' }, 2);
  history.saw(rollout('a/x', 20), 3);
  expect(history.of('a/x').map(({ at, weight }) => [at, weight])).toEqual([
    [1, 10],
    [3, 20],
  ]);
  expect(history.of('a/x')[0]?.metrics).toEqual([{ name: 'errors', value: 0.1, bound: 0 }]);
});

it('is bounded, keeps where it began and all that is new', () => {
  const history = new RolloutHistory();
  for (let i = 0; i < 5_000; i++) history.saw(rollout('a/x', i), i);
  const times = history.of('a/x').map(({ at }) => at);
  expect(times.length).toBeLessThanOrEqual(240);
  expect(times[0]).toBe(0);
  expect(times.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => 4_900 + i));
});

it('forgets the rollout that changed longest ago where there are too many, and one that is gone', () => {
  const history = new RolloutHistory();
  for (let i = 0; i <= 300; i++) history.saw(rollout(`a/${i}`, 1), i);
  expect(history.of('a/0')).toEqual([]);
  expect(history.of('a/1')).toHaveLength(1);
  history.forget('a/1');
  expect(history.of('a/1')).toEqual([]);
});

it('a timeline counts what happens again, and has the newest first', () => {
  const timeline = new Timeline();
  timeline.happened('e/n', 1, 'Connected');
  timeline.happened('e/n', 2, planTaken, 'revision 1');
  timeline.happened('e/n', 3, planTaken, 'revision 2');
  expect(timeline.of('e/n')).toMatchObject([
    { what: planTaken, message: 'revision 2', at: 2, until: 3, count: 2 },
    { what: 'Connected', count: 1 },
  ]);
});

it('a timeline is bounded in entries, in runtimes and in the length of a message', () => {
  const timeline = new Timeline();
  for (let i = 0; i < 200; i++) timeline.happened('e/busy', i, `thing ${i}`, 'x'.repeat(10_000));
  expect(timeline.of('e/busy')).toHaveLength(60);
  expect(timeline.of('e/busy')[0]).toMatchObject({ what: 'thing 199', message: 'x'.repeat(300) });
  for (let i = 0; i < 5_000; i++) timeline.happened(`e/${i}`, i, 'Connected');
  expect(timeline.of('e/busy')).toEqual([]);
});
