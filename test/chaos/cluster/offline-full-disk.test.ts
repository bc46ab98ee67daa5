import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillDisk } from '../../support/fill-disk.ts';
import { clusterAdapter, digestOfFolder, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { type TestNode, tiny } from '../../support/node.ts';
import { ownWeights } from '../../support/own-adapter.ts';
import { programFolder } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { traffic } from '../../support/traffic.ts';
import { unmount } from '../../support/unmount.ts';
import { waitFor } from '../../support/wait.ts';

const canMount = process.getuid?.() === 0;

/** What the plan and its history need on the disk: the stable before, stable, and what is preloaded to the disk. */
const needed = { v1: 'upper', v2: 'reverse', v3: 'digits' } as const;
/** What requests alone bring. */
const others = ['other-0', 'other-1', 'other-2', 'other-3'];
/** Less than the smallest artifact needs. */
const leftBytes = 8_192;

let fleet: TestFleet;
let roots: string;
let data: string;
let load: ReturnType<typeof traffic> | undefined;
const away = () => fleet.nodes[0] as TestNode;
const filler = () => join(data, 'filler');

const bytesOf = async (adapter: string): Promise<number> =>
  (await stat(join(tiny.adapters, adapter, 'adapter_model.safetensors'))).size;
const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

const digests = new Map<string, string>();
/** An Adapter whose folder is below `roots`, so that it can be taken away. */
const adapterIn = async (name: string, digest: string, extra = ''): Promise<void> => {
  digests.set(name, digest);
  const text = await clusterAdapter(name, 'adapters/upper', extra);
  const own = text.replace('path: adapters/upper', `path: ${name}`);
  await fleet.apply(own.replace(await digestOfFolder('adapters/upper'), digest));
};
/** Which of these the small disk has. */
const onDisk = async (names: readonly string[]): Promise<readonly string[]> => {
  const folders = new Set(await readdir(join(data, 'store/adapters')));
  return names.filter((name) => folders.has(digests.get(name)?.replace('sha256:', '') ?? ''));
};

const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
const stableIs = (adapter: string) =>
  waitFor(
    `stable ${adapter}`,
    async () => (await fleet.rollout('shout'))?.stable?.adapter === adapter,
    60_000,
  );
const operatorOf = async () => (await away().client.status()).operator;
const stateOf = async (name: string) =>
  (await away().client.status()).adapters.find(({ key }) => key.endsWith(`/${name}`));
const askWhile = (...adapters: readonly (keyof typeof moon)[]) => {
  const allowed = new Set<string>(adapters.map((adapter) => moon[adapter]));
  load = traffic(away, { model: 'shout', prompt: 'moon:', allowed, width: 2 });
  return load;
};
const nothingFailed = async () => {
  await load?.stop();
  expect({ failures: load?.failures, wrong: load?.wrong }).toEqual({ failures: [], wrong: [] });
};
/** Each of what the plan and its history need answers, with the bytes that it had. */
const servesAll = async () => {
  for (const [name, adapter] of Object.entries(needed)) {
    const { text, served } = await askMoon(away(), name);
    expect([name, text, served.digest]).toEqual([name, moon[adapter], digests.get(name)]);
  }
  expect((await askMoon(away(), 'shout')).served).toMatchObject({
    adapter: 'v2',
    digest: digests.get('v2'),
    arm: 'stable',
  });
};

describe.skipIf(!canMount)(
  'a runtime that is cut off from its operator on a disk that runs full (needs root to mount a small tmpfs)',
  () => {
    beforeAll(async () => {
      fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
      roots = join(fleet.folder, 'roots');
      for (const [name, adapter] of Object.entries(needed))
        await cp(join(tiny.adapters, adapter), join(roots, name), { recursive: true });
      for (const [number, name] of others.entries()) {
        await cp(join(tiny.adapters, 'upper'), join(roots, name), { recursive: true });
        await writeFile(join(roots, name, 'adapter_model.safetensors'), ownWeights(number));
      }
      data = join(fleet.folder, 'small-disk');
      await mkdir(data);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data]);
      // Each with its compiled file: what is needed, and three of the others.
      const room = sumOf(
        await Promise.all([...Object.values(needed), 'upper', 'upper', 'upper'].map(bytesOf)),
      );
      const settings = { 'import-roots': `${tiny.root},${roots}` };
      await Promise.all([
        fleet.startNode(0, { ...settings, 'data-dir': data, 'adapter-disk': String(Math.ceil(room * 2.1)) }),
        fleet.startNode(1, settings),
      ]);
      for (const [name, adapter] of Object.entries(needed)) {
        const digest = await digestOfFolder(`adapters/${adapter}`);
        await adapterIn(name, digest, name === 'v3' ? '  preload: {tier: Disk}\n' : '');
      }
      for (const name of others) {
        const { stdout } = await runProgram(join(programFolder(), 'adaptlet'), ['digest', join(roots, name)]);
        await adapterIn(name, stdout.trim());
      }
      for (const name of ['v1', 'v2'] as const) {
        await point(name);
        await stableIs(name);
        await waitFor(name, async () => (await askMoon(away(), 'shout')).text === moon[needed[name]]);
      }
      await servesAll();
      // What is there for requests alone is known here once somebody has asked for it.
      for (const name of others) expect((await askMoon(away(), name)).text, name).toBe(moon.upper);
      // Who deletes one of them has lost it.
      for (const name of Object.keys(needed)) await rm(join(roots, name), { recursive: true });
    });
    afterAll(async () => {
      await load?.stop();
      await fleet?.nodes[0]?.end('SIGKILL');
      if (data !== undefined) await unmount(data);
      await fleet?.[Symbol.asyncDispose]();
    });

    it('makes room of what requests alone brought, and of nothing that its plan or history needs', async () => {
      askWhile('reverse');
      fleet.door.set('node-0', 'cut');
      await waitFor('the end of the stream', async () => (await operatorOf())?.state !== 'connected');
      for (const name of [...others, ...others])
        expect((await askMoon(away(), name)).text, name).toBe(moon.upper);
      await waitFor('the end of some', async () => (await onDisk(others)).length < others.length);
      expect(await onDisk(Object.keys(needed))).toEqual(Object.keys(needed));
    });

    it('serves what it has when nothing more fits, and refuses what it would have to store', async () => {
      await fillDisk(filler(), leftBytes);
      const here = await onDisk(others);
      const gone = others.filter((name) => !here.includes(name));
      expect(gone).not.toEqual([]);
      for (const name of gone)
        await expect(askMoon(away(), name), name).rejects.toThrow(/full|space|ENOSPC/i);
      await servesAll();
      await nothingFailed();
    });

    it('serves the same digests after it was killed', async () => {
      await away().end('SIGKILL');
      await fleet.restartNode(0);
      await servesAll();
      expect(await onDisk(Object.keys(needed))).toEqual(Object.keys(needed));
      expect((await operatorOf())?.state).not.toBe('connected');
    });

    it('goes on with it when the link is back, and says why the new stable does not come', async () => {
      askWhile('reverse', 'hello');
      await fleet.apply(await clusterAdapter('v4', 'adapters/hello'));
      digests.set('v4', await digestOfFolder('adapters/hello'));
      await point('v4');
      await stableIs('v4');
      fleet.door.set('node-0', 'open');
      await waitFor('the connection', async () => (await operatorOf())?.state === 'connected', 60_000);
      const failed = await waitFor('v4 to have failed', async () => {
        const v4 = await stateOf('v4');
        return v4?.state === 'Failed' && v4;
      });
      expect(`${failed.reason} ${failed.message}`).toMatch(/full|space|ENOSPC/i);
      const rollout = (await away().client.status()).rollouts.find(({ key }) => key.endsWith('/shout'));
      expect(rollout?.message).toContain('v2 serves until v4');
      expect((await askMoon(away(), 'shout')).served.digest).toBe(digests.get('v2'));
    });

    it('takes the new plan by itself once there is room, and has it from then on', async () => {
      await rm(filler());
      await waitFor('v4', async () => (await askMoon(away(), 'shout')).text === moon.hello, 120_000);
      await nothingFailed();
      // Without another change it is tried again once a minute.
      await waitFor('it to be saved', async () => (await operatorOf())?.notSaved === '', 120_000);
      // The two before, and what is preloaded: its history is as long as the rollout says.
      expect(await onDisk(Object.keys(needed))).toEqual(Object.keys(needed));
      await away().end('SIGKILL');
      fleet.door.set('node-0', 'cut');
      await fleet.restartNode(0);
      expect((await askMoon(away(), 'shout')).served).toMatchObject({
        adapter: 'v4',
        digest: digests.get('v4'),
      });
    });
  },
);
