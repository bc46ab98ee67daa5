import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { artifactOf, fileLayer } from '../../artifact/artifact.fixture.ts';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { FakeSite, type SiteNode } from './site.fixture.ts';

let disk: DiskThread;
let site: FakeSite | undefined;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());
afterEach(async () => {
  await site?.[Symbol.asyncDispose]();
  site = undefined;
});

const weights = randomBytes(700_000);
const artifact = artifactOf([
  fileLayer('adapter_config.json', '{"r": 8}'),
  fileLayer('adapter_model.safetensors', weights),
]);

const start = async (count: number, options = {}): Promise<FakeSite> => {
  site = await FakeSite.start(disk, count, options);
  site.registry.put('team/sql', artifact);
  return site;
};

const has = async (node: SiteNode): Promise<void> => {
  const folder = node.artifacts.folder(artifact.digest);
  expect(await readFile(join(folder, 'adapter_model.safetensors'))).toEqual(weights);
};

describe('a runtime that comes later', () => {
  it('reads nothing over the uplink', async () => {
    const at = await start(3);
    await Promise.all(at.nodes.map((node) => node.fetch('team/sql')));
    const before = at.registry.count('blobs');
    const late = await at.join();
    await late.fetch('team/sql');
    await has(late);
    expect(at.registry.count('blobs')).toBe(before);
  });
});

describe('the right to a blob', () => {
  it('is shown to the registry, also where all others have it', async () => {
    const at = await start(3);
    at.registry.allow('team/sql', ['team-a']);
    const [one, two, three] = at.nodes as [SiteNode, SiteNode, SiteNode];
    await Promise.all([one.fetch('team/sql'), two.fetch('team/sql')]);
    expect(await codeOf(() => three.fetch('team/sql', 'team-b'))).toBe('REGISTRY_DENIED');
    expect(at.registry.count('manifests', 'team-b')).toBe(1);
    expect(at.registry.count('blobs', 'team-b')).toBe(0);
    expect(three.peers.tally.totals().came).toEqual({ peer: 0, source: 0 });
  });

  it('of one namespace is no right of another: its first blob comes from the source', async () => {
    const at = await start(2);
    at.registry.allow('team/sql', ['team-a', 'team-b']);
    const [one, two] = at.nodes as [SiteNode, SiteNode];
    await one.fetch('team/sql');
    await two.fetch('team/sql', 'team-b');
    expect(at.registry.count('blobs', 'team-b')).toBe(artifact.blobs.size);
    expect(one.peers.tally.totals().sent).toBe(0);
    await has(two);
  });

  it('of one repository is no right of another with the same files', async () => {
    const at = await start(2);
    at.registry.put('team/copy', artifact);
    const [one, two] = at.nodes as [SiteNode, SiteNode];
    await one.fetch('team/sql');
    await two.fetch('team/copy');
    expect(one.peers.tally.totals().sent).toBe(0);
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
  });

  it('is compared with a peer where the blob is here of another source', async () => {
    const at = await start(2);
    at.registry.put('team/copy', artifact);
    const [one, two] = at.nodes as [SiteNode, SiteNode];
    await one.fetch('team/copy');
    await two.fetch('team/sql');
    const before = at.registry.count('blobs');
    await two.fetch('team/copy');
    expect(at.registry.count('blobs')).toBe(before);
    expect(one.peers.tally.totals().sent).toBe(two.peers.tally.totals().came.peer);
    expect(two.peers.tally.totals().came.peer).toBeGreaterThan(weights.length);
  });
});

describe('a fetch without help', () => {
  it('goes to the source where the site is another one, or nobody says which', async () => {
    const at = await start(1);
    const [one] = at.nodes as [SiteNode];
    const far = await at.join({ site: 'hall-2' });
    const nowhere = await at.join({ site: '' });
    for (const node of [one, far, nowhere]) await node.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(3 * artifact.blobs.size);
  });

  it('goes to the source for a pod, which gets no certificate', async () => {
    const at = await start(1);
    await at.nodes[0]?.fetch('team/sql');
    const pod = await at.join({ kind: 'Pod' });
    await pod.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
    const { certificate, reason, peers } = at.answers.at(-1) ?? {};
    expect({ certificate, peers }).toEqual({ certificate: '', peers: [] });
    expect(reason).toContain('only the runtimes of Nodes');
  });

  it('goes to the source where the plan has no such adapter', async () => {
    const at = await start(1);
    await at.nodes[0]?.fetch('team/sql');
    const other = await at.join({ plan: ['team-a/team-other'] });
    await other.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
    expect(at.answers.at(-1)?.certificate).toBe('');
  });

  it('goes to the source without an operator, and to peers by what it said last', async () => {
    const at = await start(2);
    const [one, two] = at.nodes as [SiteNode, SiteNode];
    await one.fetch('team/sql');
    at.isOperatorAway = true;
    await two.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
    at.isOperatorAway = false;
    const three = await at.join();
    await three.fetch('team/sql');
    await three.artifacts.remove(artifact.digest);
    at.isOperatorAway = true;
    await three.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
  });
});
