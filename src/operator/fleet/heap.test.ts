import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const script = new URL('heap.fixture.ts', import.meta.url).pathname;

/** Bytes for each entry of each node. */
const bytesOf = async (nodes: number, adapters: number, rollouts: number): Promise<number> => {
  const args = ['--expose-gc', script, ...[nodes, adapters, rollouts].map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
};

describe('what a fleet takes of the heap', () => {
  // A Map alone takes 30 to 50 bytes for an entry; a copy of the state would add some hundred.
  it('is less than 64 bytes for an adapter of a node that others have as well', async () => {
    expect(await bytesOf(200, 500, 0)).toBeLessThan(64);
  }, 60_000);

  it('is less than 320 bytes for a rollout of a node', async () => {
    expect(await bytesOf(200, 0, 200)).toBeLessThan(320);
  }, 60_000);
});
