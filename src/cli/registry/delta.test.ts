import { describe, expect, it } from 'vitest';
import { deltaText, reasonNot } from './delta.ts';

const mib = 2 ** 20;
const result = {
  from: 'sha256:a',
  to: 'sha256:b',
  files: [],
  wholeBytes: 10 * mib,
  zstdBytes: 9 * mib,
  deltaBytes: 3 * mib,
};

describe('adaptlet delta', () => {
  it('says what the delta saves, against the file and against the same compressed', () => {
    expect(deltaText({ ...result, attached: 'sha256:d', listedBy: 'api' }, '')).toBe(
      'whole 10.0 MiB\nzstd  9.0 MiB, 90.0 %\ndelta 3.0 MiB, 30.0 %\nattached sha256:d\n',
    );
    expect(deltaText({ ...result, attached: 'sha256:d', listedBy: 'tag' }, '')).toContain(
      'by the fallback tag',
    );
    expect(deltaText(result, 'of a reason')).toContain('not attached: of a reason\n');
  });

  it.each([
    ['is attached at 70 % of what it makes', 0.7, {}, undefined],
    ['is not attached beyond that', 0.701, {}, 'more than 70 %'],
    ['is attached then by --force', 0.9, { force: true }, undefined],
    ['is never attached by --dry-run', 0.1, { dryRun: true, force: true }, '--dry-run'],
  ])('%s', (_, share, flags, reason) => {
    const why = reasonNot({ deltaBytes: share * result.wholeBytes, wholeBytes: result.wholeBytes }, flags);
    if (reason === undefined) expect(why).toBeUndefined();
    else expect(why).toContain(reason);
  });
});
