import { describe, expect, it } from 'vitest';
import { runTarget } from '../fuzz/bytes/run.ts';
import { targets } from '../fuzz/bytes/targets.ts';
import { chaosSeed } from '../support/random.ts';

const seed = chaosSeed();
/** Of each reader. `make fuzz` takes longer. */
const ms = 1000;

describe(`bytes that nobody meant well, seed ${seed}`, () => {
  it.each(targets)('do no harm to the reader $name', async (target) => {
    const { tally, findings } = await runTarget(target, { seed, ms });
    expect(
      findings.map(
        ({ what, input }) => `${what}\n${Buffer.from(input.subarray(0, 4096)).toString('base64')}`,
      ),
    ).toEqual([]);
    // Each example as it is, at least.
    expect(tally.executions).toBeGreaterThanOrEqual(target.examples().length);
  });
});
