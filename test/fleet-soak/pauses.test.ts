import { expect, it } from 'vitest';
import { fakeDigest } from '../../src/api/names.fixture.ts';
import { aStatus } from '../../src/plan/manifests.fixture.ts';
import { Pauses } from './pauses.ts';

const steps = [{ setWeight: 10 }, { pause: { duration: '3s' } }, { setWeight: 50 }, { pause: {} }];
const canary = {
  adapter: 'v2',
  uid: 'u',
  digest: fakeDigest('2'),
  seed: '0',
  attempt: 1,
};
const at = (index: number) =>
  aStatus({ canary, step: { index, total: 4, hash: 'h', elapsedMs: 0, promoted: false } });
const said = (from: Parameters<Pauses['see']>[0], to: Parameters<Pauses['see']>[0]) => {
  const pauses = new Pauses(steps, () => true);
  pauses.see(from, at(1), true);
  return pauses.see(to, at(3), true);
};

it('a pause that is too short is seen, by when its statuses came and when they were written', () => {
  expect(said({ seen: 0 }, { seen: 3000 })).toBeUndefined();
  expect(said({ seen: 0 }, { seen: 116 })).toBe('a pause of 3000 ms lasted 116 ms');
  expect(said({ seen: 0, written: 10_000 }, { seen: 116, written: 10_000 })).toContain('lasted 1000 ms');
  // The first one was seen late.
  expect(said({ seen: 3000, written: 10_000 }, { seen: 3116, written: 13_000 })).toBeUndefined();
});
