import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import type { Pairs } from '../adapters/pairs.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { proveWiring, unwiredModules } from './wiring.ts';

const sites = ['a', 'b', 'c'].map((module) => ({ module, inFeatures: 4, outFeatures: 4 }));

/** A session whose logits answer to the modules in `wired` only; `bad` is what they become. */
const session = (wired: readonly string[], bad = 2): DecoderSession & { runs: number } => {
  const fake = {
    sites,
    runs: 0,
    feeds: (pairs: Pairs) => ({ pairs, release: () => undefined }),
    logitsOf: ({ pairs }: { pairs: Pairs }) => {
      fake.runs += 1;
      const moved = wired.some((module) => pairs.has(module));
      return Promise.resolve(Float32Array.of(1, moved ? bad : 1));
    },
  };
  return fake as unknown as DecoderSession & { runs: number };
};

const options = (key: string, cacheDir: string) => ({ key, cacheDir, doing: () => undefined });

describe('the wiring test', () => {
  it('finds the linears that ignore their adapter', async () => {
    expect(await unwiredModules(session(['a', 'c']))).toEqual(['b']);
    expect(await unwiredModules(session(['a', 'b', 'c']))).toEqual([]);
  });

  it('does not take NaN for an answer', async () => {
    expect(await unwiredModules(session(['a', 'b', 'c'], NaN))).toEqual(['a', 'b', 'c']);
  });

  it('refuses a graph by name of the linear, and remembers only a good verdict', async () => {
    const cache = folderOfTest();
    await expect(proveWiring(session(['a']), options('graph', cache))).rejects.toMatchObject({
      code: 'MODEL_WIRING_BROKEN',
      message: expect.stringContaining('2 of 3 linears ignore their adapter: b, c'),
    });
    expect(existsSync(join(cache, 'wiring/graph'))).toBe(false);
    await proveWiring(session(['a', 'b', 'c']), options('graph', cache));
    const again = session(['a', 'b', 'c']);
    await proveWiring(again, options('graph', cache));
    expect(again.runs).toBe(0);
    await proveWiring(again, options('another graph', cache));
    expect(again.runs).toBe(4);
  });
});
