import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const script = new URL('heap.fixture.ts', import.meta.url).pathname;

/** Bytes for each entry of each node. */
const bytesOf = async (...sizes: readonly number[]): Promise<number> => {
  const args = ['--expose-gc', script, ...sizes.map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
};

describe('what a fleet takes of the heap', () => {
  // Four bytes in a table that is half full at least. A Map would take 30 to 50, and a copy of the state some hundred.
  it('is less than 16 bytes for an adapter of a node that others have as well', async () => {
    expect(await bytesOf(200, 5_000, 0)).toBeLessThan(16);
  });

  it('is less than 96 bytes for a rollout of a node without a canary', async () => {
    expect(await bytesOf(200, 0, 200)).toBeLessThan(96);
  });

  // 13 bytes, and 24 for each process that answered. An object takes 70 to 90.
  it('is less than 20 bytes for a reward of many for a process, and less than 24 where there are 16 for each of 500', async () => {
    expect(await bytesOf(100, 0, 1, 1, 8_192)).toBeLessThan(20);
    expect(await bytesOf(100, 0, 1, 500, 16)).toBeLessThan(24);
  });

  // Two lists of 64 numbers and a sketch of latencies for each arm; with feedback two lists more. Lists of zeros are shared.
  it('is some 6 kB for the counts of a canary at a weight, and some 9 kB with feedback', async () => {
    expect(await bytesOf(100, 0, 20, 0, 0, 5)).toBeLessThan(6_500);
    expect(await bytesOf(100, 0, 20, 0, 1, 5)).toBeLessThan(9_500);
  });
});
