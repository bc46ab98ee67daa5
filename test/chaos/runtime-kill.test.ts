import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checked } from '../../src/disk/checked.ts';
import { standaloneSchema } from '../../src/runtime/state/memory.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

const manifests =
  yaml.adapter('upper', 'adapters/upper', '  preload: {tier: Memory}\n') +
  yaml.adapter('reverse', 'adapters/reverse');

/** Every file below a folder that a finished write would not have left. */
const leftovers = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => e.isFile() && (e.name.includes('.tmp') || e.parentPath.endsWith('/tmp')))
    .map((e) => e.name);
};

/** What a state file of a node says; undefined before it is written. */
const remembered = async (data: string, file: string): Promise<unknown> => {
  const path = join(data, 'state', file);
  return existsSync(path) ? checked(await readFile(path, 'utf8')) : undefined;
};

/**
 * The disk says that upper is stable, and nothing on trial. A kill before that takes the node back: to a rollout that it never
 * saw, which begins with whatever the file says, or into the attempt before, in which three ends in a row hold the canary.
 */
const stableOnDisk = (data: string): Promise<true> =>
  waitFor('the disk to say that upper is stable', async () => {
    const { rollouts } = standaloneSchema.parse(await remembered(data, 'standalone.json'));
    const [shout] = Object.values(rollouts);
    expect([shout?.stable?.adapter, shout?.canary]).toEqual(['upper', undefined]);
    const trials: unknown = await remembered(data, 'trials.json');
    if (trials !== undefined) expect(trials).toEqual({ trials: [] });
    return true;
  });

/** For people. */
const said = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? `${one}` : one));

describe('kill -9 of the runtime', () => {
  it.each(['Fetching', 'Stored', 'Compiled', 'Loaded', 'Resident', 'Draining'])(
    'while an adapter is %s loses nothing: the next start serves it',
    async (state) => {
      const first = await TestNode.start();
      node = first;
      const killed = waitFor(`the adapter to become ${state}`, async () => {
        if (!first.log.some((line) => line.includes(`"to":"${state}"`))) return false;
        await first.end('SIGKILL');
        return true;
      });
      await first.write('adapters.yaml', manifests);
      if (state === 'Draining') {
        await waitFor(
          'upper',
          async () => (await first.client.ask({ model: 'upper', prompt: 'moon:' })).text !== '',
        );
        first.client.admin.evict({ adapter: 'upper' }, () => undefined);
      }
      await killed;
      const second = await TestNode.start({ folder: first.folder });
      node = second;
      expect((await second.client.ask({ model: 'upper', prompt: 'moon:' })).text).toBe(' MOON!');
      expect((await second.client.ask({ model: 'reverse', prompt: 'moon:' })).text).toBe(' noom.');
      expect(await leftovers(join(second.data))).toEqual([]);
    },
  );

  it('at any moment of a rollout comes back to a state that serves one of the two adapters', async () => {
    const steps = '{setWeight: 50}, {pause: {}}';
    const first = await TestNode.start();
    node = first;
    await first.write('adapters.yaml', manifests);
    await first.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
    const ask = async () => (await node?.client.ask({ model: 'shout', prompt: 'moon:', user: 'u1' }))?.served;
    await waitFor('stable', async () => (await ask())?.adapter === 'upper');
    for (const delayMs of [0, 5, 20, 60, 150]) {
      const present = node;
      await stableOnDisk(present.data);
      await present.write('shout.yaml', yaml.rollout('shout', 'reverse', steps));
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await present.end('SIGKILL');
      node = await TestNode.start({ folder: present.folder });
      await waitFor('an answer', async () => ['upper', 'reverse'].includes((await ask())?.adapter ?? ''));
      await waitFor('the canary', async () => {
        const { rollouts, adapters } = (await node?.client.status()) ?? {};
        if (rollouts?.[0]?.effectiveWeight === 50) return true;
        throw new Error(`killed after ${delayMs} ms: ${said(rollouts?.[0])} ${said(adapters)}`);
      });
      await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
      await waitFor('stable again', async () => {
        const rollout = (await node?.client.status())?.rollouts[0];
        return rollout?.phase === 'Healthy' && rollout.canary === '';
      });
    }
  });
});
