import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tarOf } from '../../src/artifact/artifact.fixture.ts';
import { FakeHub } from '../../src/artifact/fake-hub.ts';
import { FakeWeb } from '../../src/artifact/fake-web.ts';
import { askMoon, moon } from '../support/moon.ts';
import { TestNode, tiny } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { WebServers } from '../support/web-servers.ts';

const commit = 'c0ffee'.padEnd(40, '0');
/** Beside the adapter, so that a download takes a while. */
const filler = randomBytes(5_000_000);

const contentOf = async (name: string): Promise<Record<string, Buffer>> => {
  const from = join(tiny.adapters, name);
  const names = await readdir(from);
  const pairs = names.map(async (file) => [file, await readFile(join(from, file))] as const);
  return Object.fromEntries(await Promise.all(pairs));
};

const stack = new AsyncDisposableStack();
let web: FakeWeb;
let servers: WebServers;
let files: string;
const folder = folderOfTests();
let env: Record<string, string>;
beforeAll(async () => {
  web = new FakeWeb();
  servers = stack.use(await WebServers.start(web, folder));
  files = await servers.listen();
  env = { NODE_EXTRA_CA_CERTS: servers.authority };
});
afterAll(() => stack.disposeAsync());

const adapter = (name: string, source: object): string =>
  JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'Adapter',
    metadata: { name },
    spec: { baseModel: 'tiny', source, preload: { tier: 'Memory' } },
  });

/** Bytes of downloads that are not whole yet. */
const unfinished = async (node: TestNode): Promise<number> => {
  const tmp = join(node.data, 'store/tmp');
  const names = (await readdir(tmp)).filter((name) => name.endsWith('.part'));
  const sizes = await Promise.all(names.map((name) => stat(join(tmp, name)).then(({ size }) => size)));
  return sizes.reduce((sum, size) => sum + size, 0);
};

describe('a node that follows a folder', () => {
  it('serves an archive of a web server, whose download goes on after the process was killed', async () => {
    const content = { ...(await contentOf('upper')), 'filler.txt': filler };
    const bytes = tarOf(Object.entries(content).map(([name, one]) => ({ name, bytes: one })));
    web.put(`${files}/upper.tar`, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const slow = { 'download-bandwidth': '256Ki' };
    const node = await TestNode.start({ env, settings: slow });
    await node.write('a.yaml', adapter('upper', { http: { url: `${files}/upper.tar`, sha256 } }));
    const had = await waitFor('a part of it', async () => {
      const size = await unfinished(node);
      return size > 300_000 && size;
    });
    expect(had).toBeLessThan(bytes.length);
    await node.end('SIGKILL');
    web.asked.length = 0;
    const again = await TestNode.start({ env, folder: node.folder });
    stack.defer(() => again.dispose());
    await waitFor('the adapter', async () => (await askMoon(again, 'upper')).text === moon.upper, 60_000);
    const starts = web.asked.map(({ headers }) => /^bytes=(\d+)-/.exec(headers.get('range') ?? '')?.[1]);
    expect(starts).toHaveLength(2);
    expect(Number(starts[1])).toBeGreaterThanOrEqual(had);
  }, 120_000);

  it('serves a repository of the hub that its settings name, with the token of a file', async () => {
    const hub = new FakeHub(web, await servers.listen(), await servers.listen());
    web.guard(hub.endpoint, 'authorization', 'Bearer hf_word');
    hub.put('team-a/reverse', commit, await contentOf('reverse'));
    const token = join(folder, 'token');
    const node = await TestNode.start({ env: { ...env, HF_ENDPOINT: hub.endpoint, HF_TOKEN_PATH: token } });
    stack.defer(() => node.dispose());
    await node.write(
      'a.yaml',
      adapter('reverse', { huggingFace: { repo: 'team-a/reverse', revision: commit } }),
    );
    await waitFor('a refusal', () => node.log.some((line) => line.includes('REGISTRY_DENIED')), 60_000);
    await writeFile(token, 'hf_word\n', { mode: 0o600 });
    await node.write(
      'b.yaml',
      adapter('again', { huggingFace: { repo: 'team-a/reverse', revision: commit } }),
    );
    await waitFor('the adapter', async () => (await askMoon(node, 'again')).text === moon.reverse, 60_000);
  }, 120_000);
});
