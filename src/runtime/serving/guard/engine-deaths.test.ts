import { expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { EngineDeaths } from './engine-deaths.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const gone = new AdaptletError('ENGINE_DOWN', 'gone');
const of = (namespace: string) => ({ namespace, rolloutUid: namespace, digest });

const start = () => {
  const clock = new FakeClock();
  const deaths = new EngineDeaths(clock);
  const died = (...suspects: readonly string[]): void =>
    deaths.died({ isOfInput: false, suspects: new Set(suspects) });
  return { clock, deaths, died };
};

it('a version is excused while inputs of other namespaces are suspects and none of its own', () => {
  const { deaths, died } = start();
  died('a');
  expect(deaths.excuses(gone, of('b'))).toBe(true);
  expect(deaths.excuses(gone, of('a'))).toBe(false);
  expect(deaths.excuses(new AdaptletError('INTERNAL', 'x'), of('b'))).toBe(false);
  died('a', 'b');
  expect(deaths.excuses(gone, of('b'))).toBe(false);
  died();
  expect(deaths.excuses(gone, of('b'))).toBe(false);
});

it('three times in a row, however many requests it had each time, then it is charged', () => {
  const { clock, deaths, died } = start();
  for (let death = 0; death < 3; death += 1) {
    died('a');
    for (let request = 0; request < 8; request += 1) expect(deaths.excuses(gone, of('b'))).toBe(true);
  }
  died('a');
  expect(deaths.excuses(gone, of('b'))).toBe(false);
  expect(deaths.excuses(gone, of('c'))).toBe(true);
  clock.advance(600_000);
  died('a');
  expect(deaths.excuses(gone, of('b'))).toBe(true);
});
