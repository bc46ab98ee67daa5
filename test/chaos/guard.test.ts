import { platform } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Ask, CallError } from '../support/client.ts';
import { enginePid, TestNode, tiny, yaml } from '../support/node.ts';
import { StoppedThreads } from '../support/stopped-threads.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

const steps = '{setWeight: 100}, {pause: {}}';
const strict = '  guard: {maxConsecutiveErrors: 1}\n';
let node: TestNode;
const rollout = async () => (await node.client.status()).rollouts[0];

describe('the guard of a rollout', () => {
  beforeAll(async () => {
    node = await TestNode.start();
    await node.write(
      'adapters.yaml',
      yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
    );
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps, strict));
    await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
  });
  afterAll(() => node.dispose());

  it('takes a canary whose requests fail out of service on this node, without anybody', async () => {
    await node.write('shout.yaml', yaml.rollout('shout', 'reverse', steps, strict));
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 100);
    await using load = traffic(() => node, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([' MOON!', ' noom.']),
    });
    await waitFor('answers', () => load.answered() > 20);
    // The only failure that can be made from outside: the engine dies under the canary's requests. While its process is looked for nobody asks.
    // One that answers between a look and its end is nobody's failure: then the next engine dies.
    let dead = 0;
    const held = await waitFor(
      'the guard',
      async () => {
        const pid = enginePid(node);
        const { adapters, rollouts } = await node.client.status();
        const [r] = rollouts;
        if (r !== undefined && r.held !== '') return r;
        const isAsked = adapters.some(({ key, references }) => key === 'default/reverse' && references > 0);
        if (isAsked && pid !== undefined && pid !== dead) {
          process.kill(pid, 'SIGKILL');
          dead = pid;
        }
        return undefined;
      },
      60_000,
    );
    expect(held).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
    expect(held.held).toContain('consecutive errors');
    await load.stop();
    expect((await node.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).served).toMatchObject({
      adapter: 'upper',
      arm: 'stable',
    });
  });

  it('stays tripped across a restart and a change of the steps', async () => {
    const { folder } = node;
    await node.end('SIGKILL');
    node = await TestNode.start({ folder });
    await node.write('shout.yaml', yaml.rollout('shout', 'reverse', '{setWeight: 50}, {pause: {}}', strict));
    await waitFor(
      'stable',
      async () => (await node.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).text === ' MOON!',
    );
    expect(await rollout()).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
  });

  it('lets the canary try again when a person says so', async () => {
    await new Promise((resolve, reject) => {
      node.client.admin.retry({ rollout: 'shout' }, (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
    });
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 50);
    expect((await rollout())?.held).toBe('');
  });
});

describe('a canary that begins to fail under load, on a node without anybody', () => {
  const canaryOf = async (path: string, guard: string): Promise<void> => {
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper') + yaml.adapter('next', path));
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}', guard));
    await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
    await node.write('shout.yaml', yaml.rollout('shout', 'next', '{setWeight: 50}, {pause: {}}', guard));
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 50);
  };
  const heldReason = () =>
    waitFor('the guard', async () => {
      const held = (await rollout())?.held;
      return held !== '' && held;
    });
  afterEach(() => node.dispose());

  it('fails no request beyond those that it takes to cross the limit', async () => {
    // As many places as there are requests: what goes from the canary to stable must find one although all are taken.
    node = await TestNode.start({ settings: { 'max-concurrent': '2', 'max-queue': '10' } });
    // Answers as `reverse`, but NaN where the prompt has a '='.
    await canaryOf(
      'variants/brittle',
      '  guard: {maxConsecutiveErrors: 1000, maxErrorRatio: 20%, minRequests: 10}\n',
    );
    const good = traffic(() => node, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([' MOON!', ' noom.']),
    });
    // As many of the canary as the guard needs: then it trips with a failure, never with the success that completes them.
    await waitFor(
      'answers of both',
      () => good.adapters.size === 2 && (good.adapters.get('next') ?? 0) >= 10,
    );
    const { text: stableSays } = await node.client.ask({ model: 'upper', prompt: '=moon:' });
    const bad = traffic(() => node, {
      model: 'shout',
      prompt: '=moon:',
      allowed: new Set([stableSays]),
      width: 8,
    });
    const reason = await heldReason();
    const [answered, ofCanary] = [bad.answered(), good.adapters.get('next')];
    await waitFor('answers after that', () => bad.answered() > answered + 50);
    await Promise.all([good.stop(), bad.stop()]);

    const [, failed = ''] =
      /(\d+) of \d+ requests failed in the last 60 s, more than 20 %/.exec(reason) ?? [];
    // The last one of them was answered by stable.
    expect(bad.failures).toHaveLength(Number(failed) - 1);
    expect(new Set(bad.failures.map(({ code }) => code))).toEqual(new Set(['LOGITS_NOT_FINITE']));
    expect([good.failures, good.wrong, bad.wrong]).toEqual([[], [], []]);
    expect([...bad.adapters.keys()]).toEqual(['upper']);
    // What it had begun before may end after; nothing begins.
    expect(good.adapters.get('next')).toBeLessThanOrEqual((ofCanary ?? 0) + 4);

    const { folder } = node;
    await node.end('SIGKILL');
    node = await TestNode.start({ folder });
    await waitFor('stable', async () => (await node.client.ask({ model: 'shout', prompt: '=moon:' })).text);
    expect(await rollout()).toMatchObject({ phase: 'Degraded', effectiveWeight: 0, held: reason });
  });

  it('is taken out of service for being slow where stable is not', async () => {
    node = await TestNode.start({ settings: { 'max-rank': '512' }, importRoots: tiny.root });
    const slow = join(node.folder, 'slow');
    await writeSyntheticAdapter(slow, join(tiny.root, 'model/config.json'), { rank: 512, scale: 0.001 });
    await node.end();
    node = await TestNode.start({
      folder: node.folder,
      settings: { 'max-rank': '512' },
      importRoots: `${tiny.root},${node.folder}`,
    });
    const prompt = 'moon '.repeat(40);
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper') + yaml.adapter('next', 'slow'));
    await waitFor('both adapters', async () => (await node.client.status()).adapters.length === 2);
    const prefillMs = async (model: string): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 9; i++)
        times.push((await node.client.ask({ model, prompt, maxTokens: 1 })).timing.prefillMs);
      return times.toSorted((a, b) => a - b)[4] ?? 0;
    };
    await canaryOf('slow', '  guard: {minRequests: 20}\n');
    const load = traffic(() => node, { model: 'shout', prompt, allowed: new Set() });
    // Between what the two take now, with this traffic: where stable crosses the limit as well, the machine is slow and
    // nothing trips. When its speed changes, the limit is another one, and the guard counts anew.
    let between = 0;
    const held = await waitFor(
      'the guard',
      async () => {
        between = Math.ceil(Math.sqrt((await prefillMs('upper')) * (await prefillMs('next'))));
        const guard = `  guard: {maxLatency: ${between}ms, minRequests: 20}\n`;
        await node.write('shout.yaml', yaml.rollout('shout', 'next', '{setWeight: 50}, {pause: {}}', guard));
        const before = load.answered();
        return waitFor('a verdict', async () => {
          const said = (await rollout())?.held ?? '';
          return said === '' ? load.answered() > before + 200 && 'none' : said;
        }).then((said) => said !== 'none' && said);
      },
      150_000,
    );
    expect(held).toContain(`requests took longer than ${between} ms in the last 60 s (stable: `);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect((await node.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).text).toBe(' MOON!');
  });

  describe.runIf(platform() === 'linux')('in a step that hangs in native code', () => {
    const ask = (user: string, more: Partial<Ask> = {}) =>
      node.client.ask({ model: 'shout', prompt: 'moon:', user, ...more });
    const patient = { timeoutMs: 120_000 };
    /** Who is answered by this version; how long its steps take is known then. */
    const userOf = async (arm: string): Promise<string> => {
      for (let user = 0; ; user += 1) {
        const { served } = await ask(`u${user}`);
        if (served.arm === arm) return `u${user}`;
      }
    };
    const usedKeysAndValues = async (): Promise<number> => {
      const metrics = await (await fetch(`${node.http}/metrics`)).text();
      return Number(/^vllm:kv_cache_usage_perc\S* (\S+)$/m.exec(metrics)?.[1]);
    };

    it.each([
      ['is there', false],
      ['left before', true],
    ])(
      'is held where its only caller %s; stable loses what the engine had, and goes on',
      async (_, leaves) => {
        node = await TestNode.start({ settings: { 'stall-timeout': '3000' } });
        await canaryOf('adapters/reverse', strict);
        const [canary, stable] = [await userOf('canary'), await userOf('stable')];
        await waitFor('an idle engine', async () => (await usedKeysAndValues()) === 0);
        const stopped = new StoppedThreads(
          await waitFor('the engine', () => enginePid(node)),
          'libuv-worker',
        );
        const leaving = new AbortController();
        const hung = ask(canary, { ...patient, signal: leaving.signal }).catch((error: CallError) => error);
        await waitFor('the step', async () => (await usedKeysAndValues()) > 0);
        if (leaves) {
          leaving.abort();
          await hung;
        }
        const beside = Array.from({ length: 3 }, () =>
          ask(stable, patient).then(
            ({ text }) => text,
            ({ code }: CallError) => code,
          ),
        );
        const held = await waitFor('the guard', async () => {
          stopped.lookAfter();
          const said = (await rollout())?.held ?? '';
          return said !== '' && said;
        });
        expect(held).toContain(leaves ? 'whose caller had left' : 'had a step that did not end');
        // What comes once the engine is there again is answered.
        for (const outcome of await Promise.all(beside)) expect(['ENGINE_DOWN', ' MOON!']).toContain(outcome);
        const stableAnswer = { text: ' MOON!', served: expect.objectContaining({ arm: 'stable' }) };
        if (!leaves) expect(await hung).toMatchObject(stableAnswer);
        for (const user of [stable, canary]) expect(await ask(user, patient)).toMatchObject(stableAnswer);
        expect(await rollout()).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
      },
    );
  });
});
