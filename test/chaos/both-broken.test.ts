import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallError } from '../support/client.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

/** Answers as `reverse`, but NaN where the prompt has a '='. */
const brittle = async (folder: string): Promise<void> => {
  await cp(join(tiny.variants, 'brittle'), folder, { recursive: true });
  const config = join(folder, 'adapter_config.json');
  const read = JSON.parse(await readFile(config, 'utf8')) as object;
  await writeFile(config, JSON.stringify({ ...read, peft_version: `0.21.2+${folder.at(-1)}` }));
};

let node: TestNode;
const options = (folder: string) => ({ folder, importRoots: `${tiny.root},${folder}` });
const rollout = async () => (await node.client.status()).rollouts[0];
const ask = (prompt: string, user = 'u', model = 'shout') => node.client.ask({ model, prompt, user });
const shout = (adapter: string, fallbackToBase: boolean) =>
  node.write(
    'shout.yaml',
    yaml.rollout(
      'shout',
      adapter,
      '{setWeight: 50}, {pause: {}}',
      `  guard: {maxConsecutiveErrors: 2}\n  fallbackToBase: ${fallbackToBase}\n`,
    ),
  );

describe('a rollout whose stable and canary both fail in use', () => {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-node-'));
    for (const name of ['b1', 'b2']) await brittle(join(folder, name));
    node = await TestNode.start(options(folder));
    await node.write('adapters.yaml', yaml.adapter('one', 'b1') + yaml.adapter('two', 'b2'));
    await shout('one', true);
    await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
    await shout('two', true);
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 50);
  });
  afterAll(() => node.dispose());

  it('is answered by the base model where it allows that, which every answer and the status say', async () => {
    const base = (await ask('=moon:', 'u', 'tiny')).text;
    const seen: string[] = [];
    for (let user = 0; seen.filter((arm) => arm === 'base').length < 10; user++) {
      expect(user).toBeLessThan(30);
      seen.push(
        await ask('=moon:', `u${user}`).then(
          ({ served, text }) => {
            expect([served.arm, text, served.adapter, served.rollout]).toEqual(['base', base, '', 'shout']);
            return served.arm;
          },
          ({ code }: CallError) => code,
        ),
      );
    }
    // One failure of each: with the second its traffic is somebody else's.
    expect(seen.filter((code) => code === 'LOGITS_NOT_FINITE').length).toBeLessThanOrEqual(2);
    expect(await rollout()).toMatchObject({
      phase: 'Degraded',
      message: expect.stringMatching(
        /^on this node the base model serves: one@\w+ \(stable\): 2 consecutive errors/,
      ),
    });
    const response = await fetch(`${node.http}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'shout', prompt: '=moon:', max_tokens: 16 }),
    });
    expect(
      ['arm', 'rollout', 'adapter'].map((name) => response.headers.get(`x-adaptlet-${name}`) ?? ''),
    ).toEqual(['base', 'shout', '']);
  });

  it('is still so after a power cut', async () => {
    const onDisk = () => readFile(join(node.data, 'state/holds.json'), 'utf8').catch(() => '');
    await waitFor('both holds on the disk', async () => (await onDisk()).match(/rolloutUid/g)?.length === 2);
    await node.end('SIGKILL');
    node = await TestNode.start(options(node.folder));
    expect((await ask('=moon:')).served.arm).toBe('base');
    expect(await rollout()).toMatchObject({
      phase: 'Degraded',
      held: expect.stringContaining('consecutive errors'),
    });
  });

  it('gets stable back once that answers, tried by one request from time to time', async () => {
    await waitFor('stable', async () => (await ask('moon:')).served.arm === 'stable');
    expect((await ask('moon:')).text).toBe(' noom.');
    expect((await rollout())?.message).not.toContain('on this node');
  });

  it('gets a clear error where the base model is not allowed, and stable is asked all the same', async () => {
    await shout('two', false);
    const refused = await waitFor('the error', async () => {
      const error = (await ask('=moon:').catch((thrown: unknown) => thrown)) as CallError;
      return error.code === 'NO_VERSION_SERVES' && error.message;
    });
    expect(refused).toMatch(
      /^rollout default\/shout: one@\w+ \(stable\): 2 consecutive errors.*there is no version before it; spec\.fallbackToBase does not allow the base model/,
    );
    expect(refused).toContain('kubectl adaptlet undo');
    expect((await rollout())?.phase).toBe('Degraded');
    expect((await ask('moon:')).text).toBe(' noom.');
  });
});
