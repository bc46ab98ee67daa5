import { expect, it } from 'vitest';
import type { Condition } from '../api/condition.ts';
import { anAdapter } from '../plan/manifests.fixture.ts';
import { adapterRow, adaptersView } from './adapters.ts';
import { waitingOf, waitingPage } from './waiting.ts';

const condition = (type: string, status: Condition['status'], reason: string, day = 1): Condition => ({
  type,
  status,
  reason,
  message: `because of ${reason}`,
  lastTransitionTime: `2026-01-0${day}T00:00:00Z`,
});
const reasons = (...conditions: Condition[]) =>
  waitingOf('AdapterRollout', 'a/x', conditions).map(({ reason }) => reason);

it.each([
  ['a pause without end', condition('Paused', 'True', 'AwaitingPromotion')],
  ['a verdict that the judge leaves to a person', condition('Paused', 'True', 'AwaitingVerdict')],
  ['a group that failed', condition('Paused', 'True', 'GroupFailed')],
  ['spec.paused', condition('Paused', 'True', 'PausedBySpec')],
  ['what does not go on by itself', condition('Stalled', 'True', 'Aborted')],
  ['removals that are held', condition('RemovalsHeld', 'True', 'ManyRemovals')],
  ['a hold', condition('Held', 'True', 'HeldBySpec')],
  ['a cordon by a person', condition('Cordoned', 'True', 'CordonedBySpec')],
  ['a refusal by a policy', condition('Accepted', 'False', 'SourceNotAllowed')],
])('%s waits for a person', (_, one) => {
  expect(reasons(one)).toEqual([one.reason]);
});

it.each([
  ['a pause that ends by its time', condition('Paused', 'True', 'StepPaused')],
  ['a rollout that goes on', condition('Paused', 'False', 'NotPaused')],
  ['a Node that somebody drains', condition('Cordoned', 'True', 'NodeCordoned')],
  ['what is fine', condition('Ready', 'True', 'Completed')],
])('%s does not', (_, one) => {
  expect(reasons(one)).toEqual([]);
});

it('names a reason once, and nothing that a runtime said before it went away', () => {
  const stalled = condition('Stalled', 'True', 'AwaitingVerdict');
  expect(reasons(condition('Paused', 'True', 'AwaitingVerdict'), stalled)).toEqual(['AwaitingVerdict']);
  expect(reasons(condition('Connected', 'False', 'Disconnected'), stalled)).toEqual([]);
});

it('has what waits longest first, before what a person asked for, and says how much there is', () => {
  const all = [3, 1, 2].flatMap((day) =>
    waitingOf('Adapter', `a/${day}`, [condition('Stalled', 'True', 'Failed', day)]),
  );
  const held = waitingOf('AdapterRuntime', 'e/n', [condition('Held', 'True', 'HeldBySpec')]);
  const { total, items } = waitingPage([...held, ...all], 3);
  expect([total, items.map(({ key }) => key)]).toEqual([4, ['a/1', 'a/2', 'a/3']]);
});

it('an adapter is in one tier on each runtime that has it or should', () => {
  const runtimes = { desired: 10, stored: 6, resident: 4, serving: 3, failed: 1 };
  const adapter = {
    ...anAdapter({ name: 'v1' }),
    status: { observedGeneration: 1, runtimes, failures: [], conditions: [] },
  };
  const row = adapterRow(adapter);
  expect(row.tiers).toEqual({ Remote: 3, Stored: 2, Resident: 4, Failed: 1 });
  expect(adaptersView([row, row], 1)).toMatchObject({
    total: 2,
    items: [row],
    tiers: { Remote: 6, Stored: 4, Resident: 8, Failed: 2 },
  });
});
