import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mirrorStatusSchema } from '../api/rollout-status.ts';
import { possibleCounts } from './copies.fixture.ts';
import { addCopyCounts, type CopyCounts, isMirrored, mirrorStatusOf, noCopyCounts } from './copies.ts';
import { armOf } from './splitter.ts';

const seed = '00000000000000aa';
const ids = Array.from({ length: 20_000 }, (_, i) => `request-${i}`);

describe('which requests are mirrored', () => {
  it.each([0, 1, 10, 50, 100])('is the share of %i percent of them', (percent) => {
    const share = ids.filter((id) => isMirrored(seed, id, percent)).length / ids.length;
    expect(Math.abs(share * 100 - percent)).toBeLessThan(1);
    if (percent === 0 || percent === 100) expect(share * 100).toBe(percent);
  });

  it('is the same for a request every time, and more when the percentage grows', () => {
    for (const id of ids.slice(0, 1000)) {
      expect(isMirrored(seed, id, 10)).toBe(isMirrored(seed, id, 10));
      if (isMirrored(seed, id, 10)) expect(isMirrored(seed, id, 20)).toBe(true);
    }
  });

  it('does not follow from whose requests the canary answers', () => {
    const onCanary = ids.filter((id) => armOf(seed, id, 50) === 'canary');
    const share = onCanary.filter((id) => isMirrored(seed, id, 50)).length / onCanary.length;
    expect(Math.abs(share - 0.5)).toBeLessThan(0.02);
  });
});

describe('what mirroring found', () => {
  it('says ratios of what could be compared and timed', () => {
    const counts = {
      ...noCopyCounts,
      requests: 12,
      failed: 2,
      dropped: 3,
      compared: 8,
      equal: 6,
      similarity: 7,
      timed: 4,
      stableMs: 100,
      canaryMs: 150,
    };
    expect(mirrorStatusOf(counts, undefined)).toEqual({
      requests: 12,
      failed: 2,
      dropped: 3,
      compared: 8,
      equal: 0.75,
      similarity: 0.875,
      latencyRatio: 1.5,
    });
  });

  it('says no ratio where nothing could be compared, and nothing where nothing was mirrored', () => {
    expect(mirrorStatusOf({ ...noCopyCounts, requests: 1, failed: 1 }, undefined)).toEqual({
      requests: 1,
      failed: 1,
      dropped: 0,
      compared: 0,
    });
    expect(mirrorStatusOf(noCopyCounts, undefined)).toBeUndefined();
  });

  it('is the former object while little is different', () => {
    const counts = (requests: number, equal: number, failed = 0): CopyCounts => ({
      ...noCopyCounts,
      requests,
      failed,
      compared: requests - failed,
      equal,
      similarity: requests - failed,
    });
    const before = mirrorStatusOf(counts(1000, 900), undefined);
    expect(mirrorStatusOf(counts(1050, 945), before)).toBe(before);
    expect(mirrorStatusOf(counts(1200, 1080), before)).toMatchObject({ requests: 1200 });
    expect(mirrorStatusOf(counts(1050, 900), before)).toMatchObject({ equal: 0.857 });
    expect(mirrorStatusOf(counts(1050, 945, 1), before)).toMatchObject({ failed: 1 });
    expect(mirrorStatusOf(counts(10, 9), before)).toMatchObject({ requests: 10 });
  });

  it('fits into a status, whatever runtimes counted', () => {
    fc.assert(
      fc.property(possibleCounts, possibleCounts, (a, b) => {
        const status = mirrorStatusOf(addCopyCounts(a, b), undefined);
        if (status !== undefined) mirrorStatusSchema.parse(status);
      }),
    );
  });
});
