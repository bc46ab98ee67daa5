import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../../src/api/names.ts';
import { adapterResource } from '../../../src/plan/resources.fixture.ts';
import { versioned } from '../../../src/plan/resources.ts';
import { noShare } from '../../../src/runtime/residency/accounts.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { type Behaviour, hollowResidency, quick } from '../../hollow/ports.ts';
import { waitFor } from '../../support/wait.ts';

const digestOf = (i: number): Digest => `sha256:${i.toString(16).padStart(64, '0')}` as Digest;

/** Adapters by state once nothing changes any more, and those that failed. */
const settled = async (name: string, behaviour: Behaviour, count: number) => {
  const residency = hollowResidency({
    name,
    behaviour,
    baseModel: 'tiny',
    baseDigest: digestOf(0),
    clock: systemClock,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    trials: { admit: () => Promise.resolve(undefined) },
    quotas: { shareOf: () => noShare },
  });
  const began = performance.now();
  residency.apply(
    Array.from({ length: count }, (_, i) =>
      versioned(
        adapterResource(objectKey('team', `a${i}`), { uid: `uid-${i}`, digest: digestOf(i), tier: 'Memory' }),
      ),
    ),
  );
  const isSettled = (): boolean =>
    residency.facts().every(({ state }) => state === 'Resident' || state === 'Failed');
  await waitFor('all adapters', isSettled);
  const took = performance.now() - began;
  const failed = residency.facts().flatMap(({ key, state }) => (state === 'Failed' ? [key] : []));
  await residency.close();
  return { failed, took };
};

describe('adapters of a hollow runtime', () => {
  it('are all Resident when nothing is said against them', async () => {
    expect((await settled('one', quick, 200)).failed).toEqual([]);
  });

  it('fail in the share that was asked for: the same ones each time, others on another runtime', async () => {
    const some = { ...quick, failShare: 0.3 };
    const { failed } = await settled('one', some, 300);
    expect(failed.length).toBeGreaterThan(60);
    expect(failed.length).toBeLessThan(120);
    expect((await settled('one', some, 300)).failed).toEqual(failed);
    expect((await settled('another', some, 300)).failed).not.toEqual(failed);
  });

  it('take the time to load that was asked for, two at a time', async () => {
    expect((await settled('one', { ...quick, delayMs: 50 }, 6)).took).toBeGreaterThanOrEqual(150);
  });
});
