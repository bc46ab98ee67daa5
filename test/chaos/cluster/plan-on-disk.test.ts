import { execFileSync } from 'node:child_process';
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillDisk } from '../../support/fill-disk.ts';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { unmount } from '../../support/unmount.ts';
import { waitFor } from '../../support/wait.ts';

const canMount = process.getuid?.() === 0;

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
  for (const name of ['upper', 'reverse', 'hello'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`, '  preload: {tier: Memory}\n'));
});
afterAll(() => fleet[Symbol.asyncDispose]());

const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
const answersOf = (node: () => TestNode, adapter: keyof typeof moon, model = 'shout') =>
  waitFor(adapter, async () => (await askMoon(node(), model)).text === moon[adapter], 60_000);

// The data folder of the runtime is a small disk of its own.
describe.skipIf(!canMount)('the plan on the disk of a runtime (needs root to mount a small tmpfs)', () => {
  let data: string;
  beforeAll(async () => {
    data = join(fleet.folder, 'small-disk');
    await mkdir(data);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data]);
    await fleet.startNode(0, { 'data-dir': data });
    await point('upper');
    await answers('upper');
  });
  afterAll(async () => {
    await node().end('SIGKILL');
    await unmount(data);
  });
  const node = () => fleet.nodes[0] as TestNode;
  const answers = (adapter: keyof typeof moon) => answersOf(node, adapter);
  const remount = (mode: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${mode}`, data]);
  const planFile = () => join(data, 'state/plan.json');
  const notSaved = async () => (await node().client.status()).operator?.notSaved ?? '';

  it('is followed though the disk is full, with no failed request; the runtime says that it is not saved', async () => {
    const load = traffic(node, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([moon.upper, moon.reverse]),
      width: 2,
    });
    await waitFor('all adapters', async () =>
      (await node().client.status()).adapters.every(({ state }) => state === 'Resident'),
    );
    await fillDisk(join(data, 'filler'));
    await point('reverse');
    await answers('reverse');
    await waitFor('it to say so', async () => /ENOSPC|full|space/i.test(await notSaved()));
    await load.stop();
    expect({ failures: load.failures, wrong: load.wrong }).toEqual({ failures: [], wrong: [] });
  });

  it('is the one before after a restart without an operator, whole, and the newest once the operator is there', async () => {
    await node().end('SIGKILL');
    fleet.door.set('node-0', 'cut');
    await fleet.restartNode(0);
    expect((await askMoon(node(), 'shout')).text).toBe(moon.upper);
    await rm(join(data, 'filler'));
    fleet.door.set('node-0', 'open');
    await answers('reverse');
    await waitFor('it to be saved', async () => (await notSaved()) === '');
  });

  it('is saved with the next change when there is room again', async () => {
    await fillDisk(join(data, 'filler'));
    await point('upper');
    await answers('upper');
    await waitFor('it not to be saved', async () => (await notSaved()) !== '');
    await rm(join(data, 'filler'));
    await point('reverse');
    await answers('reverse');
    await waitFor('it to be saved', async () => (await notSaved()) === '');
  });

  it.each([
    ['is full', () => fillDisk(join(data, 'filler')), () => rm(join(data, 'filler'))],
    ['is read-only', async () => remount('ro'), async () => remount('rw')],
  ])(
    'lets an abort be in force at once though the disk %s, and is saved when it no longer is',
    async (_, spoil, mend) => {
      const weight = async () =>
        (await node().client.status()).rollouts.find(({ key }) => key.endsWith('/careful'))?.effectiveWeight;
      await fleet.apply(rolloutYaml('careful', 'upper', '{setWeight: 100}'));
      await answersOf(node, 'upper', 'careful');
      await fleet.apply(rolloutYaml('careful', 'hello', '{setWeight: 50}, {pause: {}}'));
      await waitFor('the canary', async () => (await weight()) === 50);
      await spoil();
      expect(await fleet.plugin('abort', 'careful')).toMatchObject({ code: 0 });
      await waitFor('the abort', async () => (await weight()) === 0);
      for (let user = 0; user < 10; user++)
        expect((await askMoon(node(), 'careful', `u${user}`)).text).toBe(moon.upper);
      await waitFor('it to say so', async () => /ENOSPC|EROFS/.test(await notSaved()));
      await mend();
      await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'aro', 'careful']);
      await waitFor(
        'it to be saved',
        async () => (await weight()) === undefined && (await notSaved()) === '',
      );
    },
  );

  it.each([
    ['a byte of it is another', flip],
    ['half of it is gone', tear],
    ['it is empty', (path: string) => writeFile(path, '')],
    ['it is of a later form', (path: string) => writeFile(path, '{"format":99}')],
  ])('is set aside when %s, and the operator sends it again', async (_, damage) => {
    await node().end('SIGKILL');
    await damage(planFile());
    await fleet.restartNode(0);
    await answers('reverse');
    expect(node().log.some((line) => line.includes('a state file was set aside'))).toBe(true);
    expect((await stat(`${planFile()}.bad`)).isFile()).toBe(true);
  });
});

type Json = { readonly stable?: { readonly adapter: string } };

describe('a runtime that is killed between the steps of a plan', () => {
  const mark = () => join(fleet.folder, 'stuck');
  const env = () => ({
    NODE_OPTIONS: `--import=${join(import.meta.dirname, '../../support/preload/stuck-disk.ts')}`,
    ADAPTLET_TEST_STUCK: mark(),
  });
  const node = () => fleet.nodes[1] as TestNode;
  /** The adapter that serves `shout` in the plan on the disk. */
  const saved = async (): Promise<string | undefined> => {
    const { body } = JSON.parse(await readFile(join(node().data, 'state/plan.json'), 'utf8'));
    const { resources } = JSON.parse(body) as { resources: { key: string; body: Json }[] };
    return resources.find(({ key }) => key.endsWith('/shout'))?.body.stable?.adapter;
  };
  beforeAll(async () => {
    await fleet.startNode(1);
  });

  it.each([
    ['has the plan before it when the new one was in force and not on the disk', 'before', 'upper'],
    ['has the new plan when that was on the disk and not answered', 'after', 'reverse'],
  ] as const)('%s, and the newest once the operator is there', async (_, stuck, then) => {
    await node().end('SIGKILL');
    await fleet.restartNode(1, env());
    await point('upper');
    await answersOf(node, 'upper');
    await waitFor('it to be on the disk', async () => (await saved()) === 'upper');
    await writeFile(mark(), stuck);
    await point('reverse');
    // No request and no rollback waits for the disk.
    await answersOf(node, 'reverse');
    await waitFor(`${then} on the disk`, async () => (await saved()) === then);
    await node().end('SIGKILL');
    await rm(mark());
    fleet.door.set('node-1', 'cut');
    await fleet.restartNode(1);
    await answersOf(node, then);
    expect((await node().client.status()).operator).toMatchObject({ notSaved: '' });
    fleet.door.set('node-1', 'open');
    await answersOf(node, 'reverse');
  });
});

const flip = async (path: string): Promise<void> => {
  await using file = await open(path, 'r+');
  const { size } = await file.stat();
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, Math.floor(size * 0.6));
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 0x01), 0, 1, Math.floor(size * 0.6));
};

const tear = async (path: string): Promise<void> => {
  await using file = await open(path, 'r+');
  await file.truncate(Math.floor((await file.stat()).size / 2));
};
