import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, type ObjectKey } from '../../api/names.ts';
import type { SplitResource } from '../../plan/resources.ts';
import type { ServingFacts, Trouble } from './decision.ts';
import { split } from './plan.fixture.ts';
import { stableArm } from './stable-arm.ts';

const v1 = { adapter: 'v1', uid: 'v1', digest: fakeDigest('1') };
const v0 = { adapter: 'v0', uid: 'v0', digest: fakeDigest('0') };
const final: Trouble = { reason: 'SMOKE_TEST_FAILED: no', isFinal: true };
const passing: Trouble = { reason: '5 consecutive errors', isFinal: false };

const facts = (
  troubles: Readonly<Record<string, Trouble>>,
  here: readonly string[] = ['v0'],
): ServingFacts => ({
  serves: () => true,
  isHeld: () => false,
  troubleOf: (_: string, key: ObjectKey, __: Digest) => troubles[key.split('/')[1] ?? ''],
  isHere: (key) => here.includes(key.split('/')[1] ?? ''),
});
const arm = (change: Partial<SplitResource['body']>, known: ServingFacts, baseRefusal?: string) =>
  stableArm(split('team-a/sql', { stable: v1, ...change }), known, baseRefusal);

describe('what answers for stable', () => {
  it('is stable, while nothing is wrong with it', () => {
    expect(arm({ former: v0 }, facts({ v0: final }))).toEqual({
      kind: 'adapter',
      bound: v1,
      trouble: '',
      isReplaceable: false,
    });
    expect(arm({ former: v0 }, facts({}))).toMatchObject({ isReplaceable: true });
    expect(arm({ fallbackToBase: true }, facts({}))).toMatchObject({ isReplaceable: true });
  });

  it.each([final, passing])('is the version before it while that is here and can: %o', (trouble) => {
    expect(arm({ former: v0, fallbackToBase: true }, facts({ v1: trouble }))).toMatchObject({
      bound: v0,
      trouble: expect.stringContaining(trouble.reason),
      isReplaceable: true,
    });
  });

  it.each<[string, Partial<SplitResource['body']>, ServingFacts]>([
    ['there is none', {}, facts({ v1: final })],
    ['it cannot serve', { former: v0 }, facts({ v1: final, v0: passing })],
    ['it would have to be fetched', { former: v0 }, facts({ v1: final }, [])],
  ])('is the base model where it is allowed and, of the version before, %s', (_, change, known) => {
    expect(arm({ ...change, fallbackToBase: true }, known)).toMatchObject({ kind: 'base' });
  });

  it('is the version before it, fetched, rather than nothing', () => {
    expect(arm({ former: v0 }, facts({ v1: passing }, []))).toMatchObject({ bound: v0 });
  });

  it('is stable again when nothing is left and it may answer some requests, else nothing, with all reasons', () => {
    expect(arm({ former: v0 }, facts({ v1: passing, v0: final }))).toMatchObject({ bound: v1 });
    const none = arm({ former: v0 }, facts({ v1: final, v0: passing }));
    expect(none).toMatchObject({ kind: 'none' });
    expect(none?.trouble).toBe(
      'v1@111111111111 (stable): SMOKE_TEST_FAILED: no; v0@000000000000 (the one before): 5 consecutive errors; spec.fallbackToBase does not allow the base model',
    );
  });
});
