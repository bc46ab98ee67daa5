import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { silent } from '../routing/labelled.ts';
import { SessionLabels } from './session-labels.ts';

it('the two best scores of a label are kept by its session, however many there are', () => {
  const labels = new SessionLabels(new FakeClock());
  const scores = Array.from({ length: 1000 }, (_, i) => ({ label: `l${i}`, score: 1 / (i + 1) }));
  labels.set('a', 's', { ...silent('intent', ''), label: 'l0', score: 1, margin: 0.5, scores });
  expect(labels.get('a', 's')).toMatchObject({ label: 'l0', margin: 0.5, scores: scores.slice(0, 2) });
});
