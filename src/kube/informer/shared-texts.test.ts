import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SharedTexts } from './shared-texts.ts';

const script = new URL('shared-texts.fixture.ts', import.meta.url).pathname;

/** Bytes of the heap that this takes. */
const bytesOf = async (what: string): Promise<number> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, what]);
  return Number(stdout);
};

describe('texts of parsed objects', () => {
  it('are there once, where many objects of a watch have the same', async () => {
    const [others, same] = [await bytesOf('others each'), await bytesOf('the same')];
    expect((others - same) / 20_000).toBeGreaterThan(140);
  });

  it('are remembered for a while: of 200,000 that are all different at most 16,384 are kept', async () => {
    // All of them would be 40 MB.
    expect(await bytesOf('remembered')).toBeLessThan(16_384 * 350);
  });

  it('are the same texts', () => {
    const texts = new SharedTexts();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        texts.shareIn(value);
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });
});
