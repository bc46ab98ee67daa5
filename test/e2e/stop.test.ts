import { expect, it } from 'vitest';
import { moon } from '../support/moon.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

it('says that it is not ready before it stops, answers on meanwhile, and then ends', async () => {
  const node = await TestNode.start({ settings: { 'drain-delay': '10s' } });
  const readiness = () => fetch(new URL('/readyz', node.http));
  expect((await readiness()).status).toBe(200);
  const ended = node.end('SIGTERM');
  const refusal = await waitFor('it to be not ready', async () => {
    const response = await readiness();
    return response.status === 503 && response;
  });
  expect(await refusal.text()).toBe('it is stopping\n');
  const answer = await fetch(new URL('/v1/completions', node.http), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: 'moon:', temperature: 0 }),
  });
  expect(await answer.json()).toMatchObject({ choices: [{ text: moon.base }] });
  expect(await ended).toBe(0);
  await node.dispose();
});
