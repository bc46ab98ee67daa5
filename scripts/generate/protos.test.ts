import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { protos } from './protos.ts';

it('what proto/ generates is what is checked in', async () => {
  const files = await protos();
  expect([...files.keys()]).toContain('src/gen/inference/grpc_service.ts');
  for (const [path, content] of files) {
    const present = await readFile(join(import.meta.dirname, '../..', path), 'utf8');
    expect(present === content, `${path} is not current; run: npm run gen`).toBe(true);
  }
});
