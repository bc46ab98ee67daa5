import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

/** Flips a byte in the middle of each file below a folder that `pick` takes; how many. */
const corrupt = async (folder: string, pick: (name: string) => boolean): Promise<number> => {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
    (e) => e.isFile() && pick(e.name),
  );
  for (const { parentPath, name } of files) {
    const path = join(parentPath, name);
    const bytes = await readFile(path);
    const at = Math.floor(bytes.length * 0.6);
    await using handle = await open(path, 'r+');
    await handle.write(Uint8Array.of((bytes[at] ?? 0) ^ 0x55), 0, 1, at);
  }
  return files.length;
};

const started = async (): Promise<TestNode> => {
  const first = await TestNode.start();
  await first.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
  );
  await waitFor(
    'upper',
    async () => (await first.client.ask({ model: 'upper', prompt: 'moon:' })).text === ' MOON!',
  );
  await first.client.ask({ model: 'reverse', prompt: 'moon:' });
  return first;
};

const evict = (target: TestNode, adapter: string): Promise<void> =>
  new Promise((resolve, reject) => {
    target.client.admin.evict({ adapter }, (error) => (error === null ? resolve() : reject(error)));
  });

describe('corruption on disk', () => {
  it('of a compiled file is found before it serves, and the file is made again', async () => {
    node = await started();
    await evict(node, 'upper');
    expect(await corrupt(join(node.data, 'compiled'), () => true)).toBeGreaterThan(0);
    expect((await node.client.ask({ model: 'upper', prompt: 'moon:' })).text).toBe(' MOON!');
    expect((await node.client.ask({ model: 'reverse', prompt: 'moon:' })).text).toBe(' noom.');
  });

  it('of a stored blob is found before it serves, and the artifact is fetched again', async () => {
    const first = await started();
    node = first;
    await first.end();
    expect(await corrupt(join(first.data, 'store/blobs'), () => true)).toBeGreaterThan(0);
    await corrupt(join(first.data, 'compiled'), () => true);
    node = await TestNode.start({ folder: first.folder });
    for (const [name, text] of [
      ['upper', ' MOON!'],
      ['reverse', ' noom.'],
    ] as const) {
      expect((await node.client.ask({ model: name, prompt: 'moon:' })).text).toBe(text);
    }
    // A flipped bit in a weight may not show in an answer: it is the digest that finds it.
    const found = node.log.filter((line) => line.includes('a stored artifact is damaged and was set aside'));
    expect(new Set(found.map((line) => (JSON.parse(line) as { digest: string }).digest)).size).toBe(2);
  });

  it('of a blob whose adapter serves from its compiled file is found by the check, and it is fetched again', async () => {
    const first = await started();
    node = first;
    await first.end();
    expect(await corrupt(join(first.data, 'store/blobs'), () => true)).toBeGreaterThan(0);
    const second = await TestNode.start({ folder: first.folder });
    node = second;
    const ask = async () => (await second.client.ask({ model: 'upper', prompt: 'moon:' })).text;
    expect(await ask()).toBe(' MOON!');
    await waitFor('the artifact to be fetched again', async () =>
      second.log.some((line) => line.includes('a damaged artifact was fetched again')),
    );
    expect(await ask()).toBe(' MOON!');
    // Its compiled file was good all the time.
    expect(second.log.some((line) => line.includes('"cause":"ArtifactLost"'))).toBe(false);
    await waitFor('the status to say so', async () =>
      (await second.client.status()).limits.join().includes('since the start, 0 of them are not back yet'),
    );
  });

  it('of a state file is reported, and the runtime starts from the manifests', async () => {
    const first = await started();
    await first.end();
    expect(await corrupt(join(first.data, 'state'), (name) => name.endsWith('.json'))).toBeGreaterThan(0);
    node = await TestNode.start({ folder: first.folder });
    await waitFor(
      'upper',
      async () => (await node?.client.ask({ model: 'upper', prompt: 'moon:' }))?.text === ' MOON!',
    );
    expect(node.log.some((line) => line.includes('set aside'))).toBe(true);
  });
});
