import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNodeGround } from './node-ground.ts';
import { clientProbes } from './probes/all.ts';
import { Stage } from './stage.ts';
import { agreesWithPage, runsProbes } from './suite.ts';

const stack = new AsyncDisposableStack();
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.start(stack.use(await startNodeGround()));
  stack.defer(() => stage.close());
});
afterAll(() => stack.disposeAsync());

const begun = runsProbes(clientProbes('node'), () => stage);

describe('the other tenant', () => {
  it('is answered by its own adapter after all of that', async () => {
    const seen = await stage.victim();
    expect(seen.status).toBe(200);
    expect(seen.headers.get('x-adaptlet-adapter')).toBe('sauce');
  });
});

describe('on a node', () => agreesWithPage('node', begun));
