import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { extractRows, extractSchema, extractTokens } from '../support/json-extract.ts';
import { smollm } from '../support/models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { request } from './support/engine.ts';
import { type HostAnswer, TestHost } from './support/host.ts';
import { operator } from './support/operator.ts';
import { plain, TimedSteps } from './support/speculation.ts';
import { compileFor } from './support/tiny.ts';

const real = smollm();
const steps = new TimedSteps();
afterAll(() => steps.restore());

/** How many of the held-out prompts: ADAPTLET_TEST_ROWS, else some. */
const count = Number(process.env['ADAPTLET_TEST_ROWS'] ?? 12);

describe.skipIf(real === undefined || operator === undefined)(
  'SmolLM2-135M int4 (ADAPTLET_MODELS or ../shared/models) with the native operator',
  () => {
    it.each([false, true])(
      'gives with guesses the very tokens that it gives without, and so in other pieces and beside another request (structure: %s)',
      async (structured) => {
        if (real === undefined) return;
        const [adapter, folder] = ['json-extract-v2', folderOfFile()];
        const structure = { kind: 'json', source: JSON.stringify(extractSchema) } as const;
        const inputOf = (prompt: string): GenerateInput =>
          request(adapter, prompt, {
            maxTokens: extractTokens,
            logprobs: 4,
            ...(structured ? { structure } : {}),
          });
        const open = async (options: Parameters<typeof TestHost.open>[1]): Promise<TestHost> => {
          const host = await TestHost.open(real.modelDir, { clock: steps.clock, ...options }, folder);
          expect(host.warnings).toEqual([]);
          await host.host.load(
            adapter,
            await compileFor(host.host.info, join(real.adapters, adapter), folder),
          );
          return host;
        };
        const rows = extractRows(real).slice(0, count);
        const host = await open({ speculation: true });
        const answers: HostAnswer[] = [];
        const differing: number[] = [];
        for (const [row, { prompt }] of rows.entries()) {
          const expected = await host.ask(plain(inputOf(prompt)));
          answers.push(expected);
          const got = await host.ask({ ...inputOf(prompt), scope: 'guesses' });
          if (got.ids.join() !== expected.ids.join()) differing.push(row);
        }
        expect(differing).toEqual([]);
        expect(host.host.now().speculation.acceptedTokens).toBeGreaterThan(10 * rows.length);
        await host.close();

        // Pieces of prompts are short while others decode, and rows share steps.
        const busy = await open({ speculation: true, maxDecodeStallMs: 15, maxQueue: count });
        const together = await Promise.all(rows.map(({ prompt }) => busy.ask(inputOf(prompt))));
        const others = together.flatMap(({ ids }, row) =>
          ids.join() === answers[row]?.ids.join() ? [] : [row],
        );
        expect(others).toEqual([]);
        expect(steps.ran.some(({ rows: of }) => of > 1)).toBe(true);
        await busy.close();
      },
      600_000,
    );
  },
);
