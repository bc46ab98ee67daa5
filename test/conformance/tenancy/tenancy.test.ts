import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kinds } from './probe.ts';
import { probes } from './probes/all.ts';
import { Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.start();
}, 60_000);
afterAll(() => stage.dispose());

describe.each(kinds)('%s: a tenant', (kind) => {
  it.each(probes.filter((probe) => probe.kind === kind))('$tries', async ({ run }) => run(stage), 120_000);
});

describe('the other tenant', () => {
  it('is answered by its own adapter after all of that', async () => {
    const seen = await stage.victim();
    expect(seen.status).toBe(200);
    expect(seen.headers.get('x-adaptlet-adapter')).toBe('sauce');
  });
});
