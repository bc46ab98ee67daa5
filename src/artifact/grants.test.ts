import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { filesArtifact } from './artifact.fixture.ts';
import { digestOf, hexOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { type Former, Grants } from './grants.ts';
import { SharedNode, wishOf } from './shared-node.fixture.ts';

const one = digestOf(Buffer.from('1'));
const two = digestOf(Buffer.from('2'));
const a = { namespace: 'a', source: 'oci:r.test/x' };
const b = { namespace: 'b', source: 'oci:r.test/x' };

let root: string;
beforeEach(() => {
  root = folderOfTest();
});

const open = (stored = [one, two], former: readonly Former[] = []) => Grants.open(root, stored, former);
const fileOf = (digest: string) => join(root, 'grants', `${digest.slice('sha256:'.length)}.json`);

describe('grants', () => {
  it('are of one namespace, one source and one digest, and survive a restart', async () => {
    const grants = await open();
    await grants.give(one, a);
    for (const seen of [grants, await open()]) {
      expect(seen.has(one, a)).toBe(true);
      expect([seen.has(two, a), seen.has(one, b), seen.has(one, { ...a, source: 'oci:r.test/y' })]).toEqual([
        false,
        false,
        false,
      ]);
    }
  });

  it('are taken back for all sources of a namespace, and from nobody else', async () => {
    const grants = await open();
    await Promise.all([
      grants.give(one, a),
      grants.give(one, { ...a, source: 'path:/x' }),
      grants.give(one, b),
    ]);
    const taken = grants.take(one, { namespace: 'a', uid: '' });
    expect(grants.of(one)).toEqual([b]);
    await taken;
    expect((await open()).of(one)).toEqual([b]);
    await grants.drop(one);
    expect(await readdir(join(root, 'grants'))).toEqual([]);
  });

  it('say the same on the disk as in force, whatever came at the same time', async () => {
    const grants = await open();
    const claims = Array.from({ length: 20 }, (_, i) => ({ namespace: `n${i}`, source: 'oci:r.test/x' }));
    await Promise.all(
      claims.flatMap((claim, i) => [
        grants.give(one, claim),
        ...(i % 3 === 0 ? [grants.take(one, { namespace: `n${i - 3}`, uid: '' })] : []),
        ...(i === 10 ? [grants.drop(one)] : []),
      ]),
    );
    const inForce = grants.of(one).map(({ namespace }) => namespace);
    expect(
      (await open())
        .of(one)
        .map(({ namespace }) => namespace)
        .toSorted(),
    ).toEqual(inForce.toSorted());
  });

  it('go with an artifact that is not stored any more', async () => {
    const grants = await open();
    await grants.give(one, a);
    await grants.give(two, a);
    const after = await open([two]);
    expect([after.of(one), after.of(two)]).toEqual([[], [a]]);
    expect(await readdir(join(root, 'grants'))).toEqual([`${hexOf(two)}.json`]);
  });

  it.each([
    ['torn', (text: string) => text.slice(0, text.length / 2)],
    ['with a namespace that somebody wrote in', (text: string) => text.replace('\\"a\\"', '\\"c\\"')],
    ['empty', () => ''],
  ])('of one artifact are lost when its file is %s, and those of no other', async (_, damage) => {
    const grants = await open();
    await grants.give(one, a);
    await grants.give(two, a);
    const text = await readFile(fileOf(one), 'utf8');
    expect(damage(text)).not.toBe(text);
    await writeFile(fileOf(one), damage(text));
    const after = await open();
    expect([after.of(one), after.of(two)]).toEqual([[], [a]]);
    expect(after.damage.map(({ digest }) => digest)).toEqual([one]);
    expect((await readdir(join(root, 'grants'))).toSorted()).toEqual(
      [`${hexOf(one)}.bad`, `${hexOf(two)}.json`].toSorted(),
    );
    await after.give(one, a);
    const last = await open();
    expect([last.of(one), last.damage]).toEqual([[a], []]);
  });

  it('can be read after a kill at any moment', async () => {
    const module = (name: string): string => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));
    const busy = `
const { Grants } = await import(${module('grants.ts')});
const grants = await Grants.open(${JSON.stringify(root)}, ${JSON.stringify([one, two])}, []);
const kept = { namespace: 'kept', source: 's' };
await grants.give(${JSON.stringify(one)}, kept);
console.log('begin');
for (let i = 0; ; i++) {
  await grants.give(${JSON.stringify(one)}, { namespace: 'n' + (i % 50), source: 's' });
  if (i % 2 === 0) await grants.take(${JSON.stringify(one)}, { namespace: 'n' + ((i * 7) % 50), uid: '' });
}`;
    for (const turns of [1, 30, 90]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', busy], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exit = once(child, 'exit');
      try {
        await once(child.stdout, 'data');
        // Each write has another size or time: so many changes stand for a moment.
        let seen = 0;
        let last = '';
        const deadline = performance.now() + 10_000;
        while (seen < turns) {
          const now = await readFile(fileOf(one), 'utf8');
          if (now !== last) seen += 1;
          last = now;
          expect(performance.now()).toBeLessThan(deadline);
        }
      } finally {
        child.kill('SIGKILL');
        await exit;
      }
      const grants = await open();
      expect(grants.damage).toEqual([]);
      expect(grants.has(one, { namespace: 'kept', source: 's' })).toBe(true);
      expect(await readdir(join(root, 'grants'))).toEqual([`${hexOf(one)}.json`]);
    }
  });
});

describe('a store from before there were grants', () => {
  const disk = diskOfTests();
  const artifact = filesArtifact({ 'adapter_config.json': '{}', weights: 'w' });
  const wish = wishOf('a', 'x');
  const former = [{ uid: wish.uid, digest: artifact.digest }];

  /** A node with the artifact and without grants, as the version before left it. */
  const upgraded = async (): Promise<SharedNode> => {
    const node = await SharedNode.start(disk);
    node.registry.put('x', artifact);
    await node.fetch('a', 'x');
    await rm(join(node.root, 'store/grants'), { recursive: true });
    return node;
  };

  it('grants what its plan had, without a registry, and nothing else', async () => {
    await using node = await upgraded();
    node.registry.isUp = false;
    await node.restart({ former });
    expect(node.artifacts.stored(wish, artifact.digest)).toBeDefined();
    expect((await node.fetch('a', 'x', artifact.digest)).digest).toBe(artifact.digest);
    expect(node.has('b', 'x', artifact.digest)).toBe(false);
    // The same in every later start, in which nothing is taken over.
    await node.restart({ former: [{ uid: wishOf('b', 'x').uid, digest: artifact.digest }] });
    expect([node.has('a', 'x', artifact.digest), node.has('b', 'x', artifact.digest)]).toEqual([true, false]);
  });

  it('opens nothing to another namespace of the same repository that its registry does not', async () => {
    await using node = await upgraded();
    await node.restart({ former });
    node.registry.allow('x', ['a']);
    await expect(node.fetch('b', 'x', artifact.digest)).rejects.toThrow('forbids access');
  });

  it('takes over from the beginning when it was killed on the way', async () => {
    await using node = await upgraded();
    await writeFile(join(node.root, 'store/grants.new'), 'half');
    await node.restart({ former });
    expect(node.artifacts.stored(wish, artifact.digest)).toBeDefined();
    expect(await readdir(join(node.root, 'store'))).not.toContain('grants.new');
  });

  it('lets go of it with the adapter that had it', async () => {
    await using node = await upgraded();
    await node.restart({ former });
    await node.artifacts.release(wish, artifact.digest);
    expect(node.artifacts.stored(wish, artifact.digest)).toBeUndefined();
    await node.restart({ former });
    expect(node.artifacts.stored(wish, artifact.digest)).toBeUndefined();
  });
});
