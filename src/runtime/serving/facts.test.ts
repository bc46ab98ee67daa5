import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';
import type { State } from '../residency/lifecycle.ts';
import { servingFacts } from './facts.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const key = objectKey('default', 'sql');
const failed = (code: ErrorCode): State => ({
  kind: 'Failed',
  failure: { code, message: 'why', retry: catalogue[code].retry, since: 0 },
});
const compiled = { file: '', bytes: 1, ramBytes: 1, rank: 1, targetModules: [] };

const facts = (
  state: State | undefined,
  {
    cause,
    isOut = cause !== undefined,
    isPending = false,
  }: { cause?: 'Guard' | 'BreakGlass'; isOut?: boolean; isPending?: boolean } = {},
) =>
  servingFacts(
    { serves: () => state?.kind === 'Resident', state: () => state },
    {
      holdInForce: () =>
        cause === undefined || !isOut
          ? undefined
          : { rolloutUid: 'r1', digest, arm: 'stable', cause, reason: 'held', at: '', attempt: 1 },
    },
    { isPending: () => isPending },
  );

describe('what routing is told of this node', () => {
  it('is that a canary whose trial is not on the disk yet has no requests', () => {
    expect(facts(undefined, { isPending: true }).isHeld('r1', digest)).toBe(true);
    expect(facts(undefined).isHeld('r1', digest)).toBe(false);
    expect(facts(undefined, { cause: 'Guard' }).isHeld('r1', digest)).toBe(true);
  });

  it.each<[ErrorCode, boolean]>([
    ['ADAPTER_SHAPE', true],
    ['SMOKE_TEST_FAILED', true],
    ['ENGINE_DOWN', true],
    ['FETCH_STALLED', false],
  ])('is that an adapter which failed with %s cannot serve: %s', (code, isTrouble) => {
    expect(facts(failed(code)).troubleOf?.('r1', key, digest)).toEqual(
      isTrouble ? { reason: `${code}: why`, isFinal: true } : undefined,
    );
  });

  it.each([
    ['Guard', false],
    ['BreakGlass', true],
  ] as const)('is that what is held by %s is not asked at all: %s', (cause, isFinal) => {
    expect(facts(undefined, { cause }).troubleOf?.('r1', key, digest)).toEqual({ reason: 'held', isFinal });
    expect(facts(undefined, { cause, isOut: false }).troubleOf?.('r1', key, digest)).toBeUndefined();
  });

  it('is which adapters need no download, by their content', () => {
    const stored: State = { kind: 'Stored', digest, storedBytes: 1 };
    const states: (State | undefined)[] = [
      stored,
      { ...stored, kind: 'Compiled', compiled },
      { kind: 'Fetching' },
      failed('ADAPTER_SHAPE'),
      undefined,
    ];
    expect(states.map((state) => facts(state).isHere?.(key, digest))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(facts(stored).isHere?.(key, `sha256:${'b'.repeat(64)}` as Digest)).toBe(false);
  });
});
