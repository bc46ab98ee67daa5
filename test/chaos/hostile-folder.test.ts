import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { latency } from '../support/latency.ts';
import { TestNode, yaml } from '../support/node.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

const upper = yaml.adapter('upper', 'adapters/upper', '  preload: {tier: Memory}\n');
const steps = '{setWeight: 50}, {pause: {}}';
let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start({ settings: { 'log-level': 'info' } });
});
afterAll(() => node.dispose());

const at = (file: string): string => join(node.manifests, file);
const status = () => node.client.status();
const problems = async () =>
  (await status()).manifests?.problems.map(({ file, reason }) => `${file} ${reason}`);
const known = async (name: string) => (await status()).adapters.some((a) => a.key === `default/${name}`);
const moon = async (model = 'upper') => (await node.client.ask({ model, prompt: 'moon:' })).text;
/** Does it over and over until the time is over or `until` says so; the number of times. */
const keepOn = async (
  ms: number,
  work: (i: number) => Promise<void>,
  until = () => false,
): Promise<number> => {
  const end = performance.now() + ms;
  let i = 0;
  for (; performance.now() < end && !until(); i++) await work(i);
  return i;
};

describe('a folder of manifests in the hands of a clumsy person', () => {
  const strange = ['pipe.yaml', 'folder.yaml', 'loop.yaml', 'dangling.yaml', 'device.yaml', 'binary.yaml'];
  beforeAll(async () => {
    await node.write('a.yaml', upper);
    await waitFor('upper', async () => (await moon()) === ' MOON!');
  });
  afterEach(async () => {
    for (const file of [...strange, 'b.yaml', 'noise.log'])
      await rm(at(file), { recursive: true, force: true });
    await waitFor(
      'a clean folder',
      async () => !(await known('reverse')) && (await problems())?.length === 0,
    );
  });

  it('may hold pipes, devices, loops and garbage: each is reported, the others are followed', async () => {
    execFileSync('mkfifo', [at('pipe.yaml')]);
    await mkdir(at('folder.yaml'));
    await symlink('loop.yaml', at('loop.yaml'));
    await symlink('/nowhere', at('dangling.yaml'));
    await symlink('/dev/zero', at('device.yaml'));
    await writeFile(at('binary.yaml'), Buffer.alloc(10_000, 0xa5));
    await node.write('b.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    await waitFor('reverse', () => known('reverse'));
    const found = (await problems()) ?? [];
    for (const file of strange) expect(found.some((p) => p.startsWith(file))).toBe(true);
  });

  it('is followed while something else writes into it all the time', async () => {
    let seen = false;
    const noise = keepOn(
      10_000,
      () => writeFile(at('noise.log'), 'x'),
      () => seen,
    );
    await node.write('b.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    await waitFor('reverse', () => known('reverse'), 5_000);
    seen = true;
    await noise;
  });

  it('is believed only when nobody is writing: what is rewritten in place never vanishes', async () => {
    const load = latency(async () => {
      expect(await moon()).toBe(' MOON!');
    });
    const comment = (i: number): string => (i % 2 === 0 ? '' : `# ${'x'.repeat(100_000)}\n`);
    let rewritten = 0;
    const rewrite = async (i: number): Promise<void> => {
      await node.write('a.yaml', upper + comment(i));
      rewritten = i + 1;
    };
    // So often, however slow the machine is, and for a while, however fast.
    await keepOn(60_000, rewrite, () => rewritten > 200);
    await keepOn(2_000, rewrite);
    expect(rewritten).toBeGreaterThan(200);
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  it('keeps what a file had while the command that writes it has not begun', async () => {
    await node.write('a.yaml', '');
    await waitFor('the report', async () => (await problems())?.[0]?.includes('no bytes'));
    expect(await moon()).toBe(' MOON!');
    await node.write('a.yaml', upper);
  });

  it('may be renamed and come back', async () => {
    await rename(node.manifests, `${node.manifests}-away`);
    await waitFor('the report', async () => (await status()).manifests?.state === 'unreadable');
    expect(await moon()).toBe(' MOON!');
    await rename(`${node.manifests}-away`, node.manifests);
    await waitFor('the folder', async () => (await status()).manifests?.state === 'ok');
    await node.write('b.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    await waitFor('reverse', () => known('reverse'));
  });

  it('may bring 500 adapters at once: who is served does not wait for it', async () => {
    const asking = () =>
      latency(async () => {
        expect(await moon()).toBe(' MOON!');
      });
    const look = async (): Promise<void> => {
      await status();
    };
    const quiet = asking();
    await keepOn(1_000, look);
    // What a busy machine makes of an answer without the adapters.
    const usualMs = await quiet.stop();
    const load = asking();
    const many = Array.from({ length: 500 }, (_, i) => yaml.adapter(`n${i}`, 'adapters/upper')).join('');
    for (let i = 0; i < 5; i++) {
      await node.write('b.yaml', `${many}# ${i}\n`);
      await waitFor('the adapters', async () => (await status()).adapters.length > 500);
    }
    await keepOn(1_000, look);
    // Two seconds of the 500 are long; what another program takes from an answer is not.
    expect(await load.stop()).toBeLessThan(Math.max(2_000, 10 * usualMs));
    expect(load.failures).toEqual([]);
    await node.write('b.yaml', '# none\n');
    await waitFor('their end', async () => (await status()).adapters.length < 500);
  });
});

it('a rollout that is edited 50 times a second, by swapped links, fails no request', async () => {
  await node.write('a.yaml', upper + yaml.adapter('reverse', 'adapters/reverse'));
  const put = async (i: number, text: string): Promise<void> => {
    await mkdir(at(`..v${i}`));
    await writeFile(join(at(`..v${i}`), 'shout.yaml'), text);
    await symlink(`..v${i}`, at('..new'));
    await rename(at('..new'), at('..data'));
    if (i > 0) await rm(at(`..v${i - 1}`), { recursive: true });
  };
  await put(0, yaml.rollout('shout', 'upper', steps));
  await symlink('..data/shout.yaml', at('shout.yaml'));
  await waitFor('stable', async () => (await moon('shout')) === ' MOON!');
  const load = traffic(() => node, {
    model: 'shout',
    prompt: 'moon:',
    allowed: new Set([' MOON!', ' noom.']),
  });
  const edits = await keepOn(4_000, async (i) => {
    await put(i + 1, yaml.rollout('shout', i % 2 === 0 ? 'reverse' : 'upper', steps));
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await put(edits + 1, yaml.rollout('shout', 'upper', steps));
  await waitFor('the last edit', async () => {
    const [rollout] = (await status()).rollouts;
    return rollout?.stable === 'upper' && rollout.canary === '';
  });
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.wrong).toEqual([]);
  expect(load.answered()).toBeGreaterThan(100);
});
