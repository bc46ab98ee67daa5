import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';

const far = { oci: { image: 'registry.example/far:v1' } };

it('a folder of the node is read while downloads wait for their link', async () => {
  const w = world({ maxParallelFetches: 1 });
  const link = w.script.hold('fetch registry.example/far:v1');
  w.residency.apply([adapter('far', { source: far, tier: 'Disk' }), adapter('near', { tier: 'Disk' })]);
  await settle();
  expect([stateOf(w, 'far'), stateOf(w, 'near')]).toEqual(['Fetching', 'Compiled']);
  link.resolve();
  await settle();
  expect(stateOf(w, 'far')).toBe('Compiled');
});

it('a source that asks to be left alone is asked when that is over', async () => {
  const w = world();
  const busy = new AdaptletError('REGISTRY_UNAVAILABLE', 'busy', { retryAfterMs: 120_000 });
  w.script.fail('fetch a', busy);
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toMatchObject({
    retryAfterMs: 120_000,
  });
  w.clock.advance(119_000);
  await settle();
  expect([stateOf(w, 'a'), w.script.count('fetch a')]).toEqual(['Failed', 1]);
  w.clock.advance(1_000);
  await settle();
  expect(stateOf(w, 'a')).toBe('Resident');
});
