import { expect, it } from 'vitest';
import { adapter, key, settle, stateOf, world } from './fake-ports.ts';

it('tells of a load that takes long, and no more once it is over', async () => {
  const w = world();
  const loading = w.script.hold('load a');
  let noted = 0;
  w.residency.onNoted(() => (noted += 1));
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  const message = () => w.residency.view(key('a'))?.message;
  await settle();
  w.clock.advance(9_999);
  expect([message(), noted]).toEqual(['', 0]);
  w.clock.advance(1);
  expect(message()).toContain('its load takes more than 10 s');
  expect(noted).toBe(1);
  loading.resolve();
  await settle();
  expect([stateOf(w, 'a'), message()]).toEqual(['Resident', '']);
  w.clock.advance(60_000);
  expect(noted).toBe(1);
});
