import { expect, it } from 'vitest';
import { AdapterWorld } from './world.fixture.ts';

it('the digest of an Adapter must be in the spec for a web server and for a hub, which nobody asks', async () => {
  const http = { url: 'https://files.example/a.tar', sha256: '0'.repeat(64) };
  const huggingFace = { repo: 'team-a/sql', revision: 'c'.repeat(40) };
  for (const source of [{ http }, { huggingFace }]) {
    const world = new AdapterWorld().adapter({ source });
    await world.settle();
    expect(world.condition('Resolved')).toMatch(/^False DigestRequired: .*`adaptlet digest` prints/);
    expect(world.questions).toEqual([]);
  }
});
