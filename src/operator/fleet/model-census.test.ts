import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import type { RuntimeState } from './fleet.ts';
import { censusOf, othersIn, signOf, verdictOf } from './model-census.ts';

const [a, b] = [fakeDigest('a'), fakeDigest('b')];
const at = (
  name: string,
  baseDigest: RuntimeState['info']['baseDigest'],
  more: Partial<RuntimeState> = {},
) => {
  const state = aRuntimeState(runtimeKey(name), more);
  return { ...state, info: { ...state.info, baseDigest, baseModel: 'tiny' } };
};
const verdicts = (...states: RuntimeState[]) =>
  states.map((state) => verdictOf(censusOf(states), state).kind);

describe('the base models of a fleet', () => {
  it('are compared with the build that most runtimes have', () => {
    expect(verdicts(at('1', a), at('2', a), at('3', b))).toEqual(['Same', 'Same', 'Other']);
    expect(othersIn([at('1', a), at('2', a), at('3', b)])).toBe(1);
  });

  it('have no majority where builds are on as many runtimes', () => {
    expect(verdicts(at('1', a), at('2', b))).toEqual(['Divided', 'Divided']);
  });

  it('are compared within one name only, and a single one with nothing', () => {
    const other = at('3', b);
    expect(verdicts(at('1', a), { ...other, info: { ...other.info, baseModel: 'large' } })).toEqual([
      'Same',
      'Same',
    ]);
  });

  it('do not count where they are not loaded or not connected', () => {
    expect(verdicts(at('1', a), at('2', ''), at('3', b, { connected: false }))).toEqual([
      'Same',
      'Unknown',
      'Same',
    ]);
    expect(othersIn([at('1', a), at('2', ''), at('3', b, { connected: false })])).toBe(0);
  });

  it('name the manifest of the majority where one of its runtimes knows it', () => {
    const model = {
      source: '/m',
      state: 'Ready',
      reason: '',
      message: '',
      receivedBytes: 0,
      totalBytes: 0,
      refusedProviders: [],
      operators: {},
      limits: [],
    };
    const states = [
      at('1', a),
      at('2', a, { model: { ...model, manifestDigest: fakeDigest('c') } }),
      at('3', b),
    ];
    expect(verdictOf(censusOf(states), at('3', b))).toEqual({
      kind: 'Other',
      digest: a,
      manifest: fakeDigest('c'),
    });
  });

  it('have a sign that changes with a verdict, and not with a count', () => {
    const sign = (...states: RuntimeState[]) => signOf(censusOf(states));
    expect(sign(at('1', a))).toBe(sign(at('1', a), at('2', a)));
    expect(sign(at('1', a), at('2', a), at('3', b))).toBe(sign(at('1', a)));
    expect(sign(at('1', a), at('2', b))).not.toBe(sign(at('1', a)));
    expect(sign(at('1', b))).not.toBe(sign(at('1', a)));
  });

  it('of pods are compared with nodes and with their own namespace, and are no concern of others', () => {
    const pod = (namespace: string, name: string, digest: typeof a): RuntimeState => ({
      ...at(name, digest, { kind: 'Pod' }),
      key: objectKey(namespace, name),
    });
    const states = [at('1', a), pod('team-a', '1', b), pod('team-a', '2', b), pod('team-b', '1', a)];
    expect(verdicts(...states)).toEqual(['Same', 'Same', 'Same', 'Same']);
    expect(verdicts(at('1', a), at('2', a), pod('team-a', '1', b))).toEqual(['Same', 'Same', 'Other']);
    expect(signOf(censusOf([at('1', a), pod('team-a', '1', b)]))).not.toBe(signOf(censusOf([at('1', a)])));
  });
});
