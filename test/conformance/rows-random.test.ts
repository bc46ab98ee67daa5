import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { eight, TestHost } from './support/host.ts';
import { tinyModel } from './support/tiny.ts';

/** Of a row of up to 64 tokens. */
const rowBytes = 8 * 4096;
/** Seeds, and how many short rows the memory has room for. */
const examples: [seed: number, rows: number][] = [
  [1, 3],
  [2, 5],
  [3, 8],
  [4, 12],
  [5, 20],
  [6, 40],
];

describe('requests that come and go at random', () => {
  const cache = folderOfTests();
  let alone: readonly (readonly number[])[];
  beforeAll(async () => {
    const host = await TestHost.tiny(tinyModel('fp32'), {}, cache);
    alone = await host.alone(eight);
    await host.close();
  });

  it('give the tokens that each gives alone, of whatever tenant, priority and scope, in memory of whatever size', async () => {
    // Of all runs: in one, no request of a scope may happen to begin as the one before it did.
    let reused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom(3, 5, 8, 12, 20, 40), async (seed, rows) => {
        const host = await TestHost.tiny(
          tinyModel('fp32'),
          {
            maxConcurrent: 4,
            maxQueue: 100,
            kvBudgetBytes: rows * rowBytes,
            maxDecodeStallMs: 10,
          },
          cache,
        );

        const random = seededRandom(seed);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
        const running: Promise<void>[] = [];
        let cancelled = 0;
        for (let number = 0; number < 40; number += 1) {
          // Long prompts have something to use again.
          const which = pick([0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 7, 7]);
          const scope = pick([undefined, 's', 't']);
          const asked = host.start({
            ...eight[which]!,
            tenant: pick(['a', 'a', 'b', 'c']),
            priority: pick([0, 0, 0, 1]),
            ...(scope === undefined ? {} : { scope }),
          });
          if (random() < 0.2) void asked.given(1 + Math.floor(random() * 15)).then(() => asked.cancel());
          running.push(
            (async () => {
              const [answer] = await Promise.allSettled([asked.answer]);
              if (answer.status === 'rejected') {
                expect(String(answer.reason)).toContain('cancelled');
                cancelled += 1;
                return;
              }
              expect(answer.value.ids).toEqual(alone[which]);
              reused += answer.value.done.cachedTokens ?? 0;
            })(),
          );
          const turns = pick([0, 0, 5, 30]);
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        }
        await Promise.all(running);
        expect(cancelled).toBeLessThan(20);
        await host.close();
      }),
      // As long as it runs no more often than that: the same choices as ever. A smaller failure would need the same timing.
      { numRuns: examples.length, endOnFailure: true, examples },
    );
    expect(reused).toBeGreaterThan(0);
  });
});
