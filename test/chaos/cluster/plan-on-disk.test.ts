import { execFileSync } from 'node:child_process';
import { mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

const canMount = process.getuid?.() === 0;

// The data folder of the runtime is a small disk of its own.
describe.skipIf(!canMount)('the plan on the disk of a runtime (needs root to mount a small tmpfs)', () => {
  let fleet: TestFleet;
  let data: string;
  beforeAll(async () => {
    fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
    data = join(fleet.folder, 'small-disk');
    await mkdir(data);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data]);
    await fleet.startNode(0, { 'data-dir': data });
    for (const name of ['upper', 'reverse', 'hello'] as const)
      await fleet.apply(await clusterAdapter(name, `adapters/${name}`, '  preload: {tier: Memory}\n'));
    await point('upper');
    await answers('upper');
  });
  afterAll(async () => {
    await Promise.all(fleet.nodes.map((each) => each.end('SIGKILL')));
    execFileSync('umount', [data]);
    await fleet[Symbol.asyncDispose]();
  });
  const node = () => fleet.nodes[0] as TestNode;
  const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
  const answers = (adapter: keyof typeof moon) =>
    waitFor(adapter, async () => (await askMoon(node(), 'shout')).text === moon[adapter], 60_000);
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
    await fill(join(data, 'filler'));
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
    await fill(join(data, 'filler'));
    await point('upper');
    await answers('upper');
    await waitFor('it not to be saved', async () => (await notSaved()) !== '');
    await rm(join(data, 'filler'));
    await point('reverse');
    await answers('reverse');
    await waitFor('it to be saved', async () => (await notSaved()) === '');
  });

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

/** Takes all room that is left. */
const fill = async (path: string): Promise<void> => {
  await using file = await open(path, 'w');
  const block = new Uint8Array(4096);
  for (;;) {
    try {
      await file.write(block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
};

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
