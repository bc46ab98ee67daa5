import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { endless, TestHost } from './support/host.ts';
import { tinyModel } from './support/tiny.ts';

const cache = folderOfTests();
/** Of 64 tokens: keys and values of two heads of two layers. */
const pageBytes = 8 * 4096;

describe('a namespace with a limit of memory for keys and values', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 4 }, cache);
  });
  afterAll(() => host.close());

  const of = (namespace: string, tokens: number, more: Partial<GenerateInput> = {}): GenerateInput =>
    endless(null, 'moon:', tokens, { namespace, kvLimitBytes: 2 * pageBytes, ...more });

  it('gets no request in beside those that could need all of it, and gets it once they ended', async () => {
    const first = host.start(of('a', 80));
    await first.given(1);
    expect(() => host.start(of('a', 80))).toThrow(
      expect.objectContaining({ code: 'NAMESPACE_KV_MEMORY', retryAfterMs: 1000 }),
    );
    const other = await host.ask(of('b', 80));
    expect(other.ids).toHaveLength(80);
    expect((await first.answer).ids).toHaveLength(80);
    expect((await host.ask(of('a', 80))).ids).toEqual(other.ids);
    const cancelled = host.start(of('a', 80));
    await cancelled.given(1);
    cancelled.cancel();
    await expect(cancelled.answer).rejects.toThrow('cancelled');
    expect((await host.ask(of('a', 80))).ids).toEqual(other.ids);
  });

  it('gets answers without a length of their own that are as long as its limit', async () => {
    const { done } = await host.ask(of('a', 10_000, { fitContext: true }));
    expect(done.promptTokens + done.completionTokens).toBe(128);
  });

  it('hears of its own limit where a prompt does not fit into it', () => {
    const long = endless(null, 'moon:'.repeat(40), 10_000, {
      namespace: 'a',
      kvLimitBytes: 2 * pageBytes,
      fitContext: true,
    });
    expect(() => host.start(long)).toThrow(
      expect.objectContaining({
        code: 'PROMPT_TOO_LONG',
        message: expect.stringMatching(
          /^This model's maximum context length is 128 tokens, as the memory for keys and values that its namespace may use now holds no more; the prompt has \d+ tokens/,
        ),
      }),
    );
  });
});
