import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { extractRows, extractSchema, extractTokens } from '../support/json-extract.ts';
import { smollm } from '../support/models.ts';
import { request } from './support/engine.ts';
import { TestHost } from './support/host.ts';
import { expectSame, nearTie, plain, TimedSteps } from './support/speculation.ts';
import { compileFor, scratch } from './support/tiny.ts';

const real = smollm();
const steps = new TimedSteps();
afterAll(() => steps.restore());

describe.skipIf(real === undefined)('SmolLM2-135M int4 (ADAPTLET_MODELS or ../shared/models)', () => {
  it('gives with guesses what it gives without, with a structure and without, until two tokens are about as likely', async () => {
    if (real === undefined) return;
    const [adapter, folder] = ['json-extract-v2', scratch()];
    const host = await TestHost.open(real.modelDir, { speculation: true, clock: steps.clock }, folder);
    await host.host.load(adapter, await compileFor(host.host.info, join(real.adapters, adapter), folder));
    const structure = { kind: 'json', source: JSON.stringify(extractSchema) } as const;
    for (const [row, { prompt }] of extractRows(real).slice(0, 6).entries()) {
      const input: GenerateInput = request(adapter, prompt, {
        maxTokens: extractTokens,
        logprobs: 4,
        ...(row % 2 === 0 ? {} : { structure }),
      });
      const expected = await host.ask(plain(input));
      expectSame(await host.ask({ ...input, scope: 'guesses' }), expected, nearTie.int4, `row ${row}`);
    }
    expect(host.host.now().speculation.acceptedTokens).toBeGreaterThan(50);
    await host.close();
  });
});
