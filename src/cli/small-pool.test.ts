import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('a TLS connection keeps no more than a small piece of the pool of Buffers', async () => {
  const script = new URL('small-pool.fixture.ts', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script]);
  // A piece, and what the connection has itself. It was 65,536.
  expect(Number(stdout)).toBeLessThan(16_384);
});
