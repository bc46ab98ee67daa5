import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import type { Requirement } from '../signature/requirement.ts';
import { signDigest } from '../signature/sign.ts';
import { aKeyPair, messageBundle, requires } from '../signature/signatures.fixture.ts';
import { filesArtifact } from './artifact.fixture.ts';
import { bundleLimits } from './bundles.ts';
import { digestOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { referrersTag } from './referrers.ts';
import { SharedNode, wishOf } from './shared-node.fixture.ts';
import { gone, list, putBundle, putBundles } from './signed-registry.fixture.ts';

const [old, next, stranger] = [aKeyPair(), aKeyPair(), aKeyPair()];
const artifact = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': 'weights' });
const { digest } = artifact;
const never = new AbortController().signal;
const sql = wishOf('team-a', 'sql');
const byOld = signDigest(digest, old.privateKey);
const byNext = signDigest(digest, next.privateKey);

const disk = diskOfTests();
let node: SharedNode;
beforeEach(async () => {
  node = await SharedNode.start(disk);
  node.registry.put('sql', artifact);
});
afterEach(() => node[Symbol.asyncDispose]());

const check = (requirement: Requirement, wish = sql) =>
  codeOf(() => node.artifacts.checkSigned(wish, digest, requirement, never));
const checkKept = (requirement: Requirement) =>
  codeOf(() => node.artifacts.checkSigned(sql, digest, requirement));

describe('an artifact that has to be signed', () => {
  it('is verified by a bundle that its repository has, and from then on without the registry', async () => {
    putBundles(node.registry, 'sql', digest, [byOld]);
    expect(await check(requires({ old }))).toBe('none');
    await node.fetch('team-a', 'sql', digest);
    node.registry.isUp = false;
    await node.restart();
    expect(await check(requires({ old }))).toBe('none');
    expect(await checkKept(requires({ old }))).toBe('none');
  });

  it('is verified before any of its blobs is asked for', async () => {
    expect(await check(requires({ old }))).toBe('SIGNATURE_MISSING');
    expect(node.registry.count('blobs')).toBe(0);
  });

  it('is asked for as the namespace that wants it', async () => {
    putBundles(node.registry, 'sql', digest, [byOld]);
    node.registry.allow('sql', ['team-a']);
    expect(await check(requires({ old }))).toBe('none');
    node.registry.allow('sql', ['team-b']);
    expect(await check(requires({ next }))).toBe('REGISTRY_DENIED');
  });

  it('changes its key without the registry where both have signed', async () => {
    putBundles(node.registry, 'sql', digest, [byOld, byNext]);
    expect(await check(requires({ old }))).toBe('none');
    node.registry.isUp = false;
    expect(await check(requires({ old, next }))).toBe('none');
    expect(await check(requires({ next }))).toBe('none');
  });

  it('is not signed any more once its key is gone, until another one has signed', async () => {
    putBundles(node.registry, 'sql', digest, [byOld]);
    expect(await check(requires({ old }))).toBe('none');
    expect(await checkKept(requires({ next }))).toBe('SIGNATURE_UNTRUSTED');
    expect(await check(requires({ next }))).toBe('SIGNATURE_UNTRUSTED');
    putBundles(node.registry, 'sql', digest, [byOld, byNext]);
    expect(await check(requires({ next }))).toBe('none');
    expect(await checkKept(requires({ old }))).toBe('none');
  });

  it('is not signed while the registry is away and nothing is kept', async () => {
    node.registry.isUp = false;
    expect(await check(requires({ old }))).toBe('REGISTRY_UNAVAILABLE');
  });

  it('is a folder: then nothing but what is kept of the same content counts', async () => {
    const folder = { ...sql, source: { path: { path: 'sql' } } };
    expect(await check(requires({ old }), folder)).toBe('SIGNATURE_MISSING');
    putBundles(node.registry, 'sql', digest, [byOld]);
    expect(await check(requires({ old }))).toBe('none');
    expect(await check(requires({ old }), folder)).toBe('none');
  });
});

describe('what is kept of signatures', () => {
  const folder = () => join(node.root, 'store', 'signatures');
  const keep = async () => {
    putBundles(node.registry, 'sql', digest, [byOld]);
    await node.fetch('team-a', 'sql', digest);
    expect(await check(requires({ old }))).toBe('none');
  };

  it('goes with its artifact', async () => {
    await keep();
    await node.artifacts.remove(digest);
    expect(await readdir(folder())).toEqual([]);
  });

  it('is not believed: it is verified each time, and what is damaged is asked for again', async () => {
    await keep();
    const [name = ''] = await readdir(folder());
    const path = join(folder(), name);
    await writeFile(path, (await readFile(path, 'utf8')).replace('crc32', 'crc33'));
    expect(await checkKept(requires({ old }))).toBe('SIGNATURE_MISSING');
    expect(await check(requires({ old }))).toBe('none');
    expect(await checkKept(requires({ old }))).toBe('none');
  });

  it('of what is not stored is cleared away at the start, as is what a power cut left', async () => {
    await keep();
    await writeFile(join(folder(), `${'e'.repeat(64)}.json`), '{}');
    await writeFile(join(folder(), 'half.1234.tmp'), '{');
    await node.restart();
    expect(await readdir(folder())).toEqual([`${digest.slice(7)}.json`]);
  });

  it('is bounded, and a key that is asked for is kept before others', async () => {
    const others = Array.from({ length: 20 }, () => signDigest(digest, aKeyPair().privateKey));
    putBundles(node.registry, 'sql', digest, [...others, byOld]);
    expect(await check(requires({ old }))).toBe('none');
    putBundles(node.registry, 'sql', digest, [...others, byNext]);
    expect(await check(requires({ next }))).toBe('none');
    expect(await checkKept(requires({ next }))).toBe('none');
    expect(await checkKept(requires({ old }))).toBe('none');
  });
});

describe('referrers that are no help', () => {
  const repository = 'sql';
  const good = () => putBundle(node.registry, repository, digest, byOld);

  it('that are listed and gone are passed over', async () => {
    list(node.registry, repository, digest, [gone('a'), good()]);
    expect(await check(requires({ old }))).toBe('none');
  });

  it('of which 10,000 are there end the reading, with a reason of its own', async () => {
    const junk = Array.from({ length: 10_000 }, (_, i) => gone(`junk ${i}`));
    list(node.registry, repository, digest, [...junk, good()]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_TOO_MANY');
    expect(node.registry.reads.length).toBeLessThan(5);
  });

  it('of which more are there than are read hide what comes after them', async () => {
    const most = bundleLimits.maxBundles;
    const junk = Array.from({ length: most }, (_, i) => gone(`junk ${i}`));
    list(node.registry, repository, digest, [...junk, good()]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_TOO_MANY');
    expect(node.registry.reads.length).toBeLessThan(most + 5);
    list(node.registry, repository, digest, [...junk.slice(1), good()]);
    expect(await check(requires({ old }))).toBe('none');
  });

  it('whose blob is another one make it a bundle that is invalid', async () => {
    const bundle = good();
    node.registry.serve(repository, `blobs/${digestOf(byOld)}`, Buffer.alloc(byOld.length, 'x'));
    list(node.registry, repository, digest, [bundle]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_INVALID');
  });

  it('whose manifest is another one make it a bundle that is invalid', async () => {
    const bundle = good();
    node.registry.serve(repository, `manifests/${bundle.digest}`, Buffer.from('{}'));
    list(node.registry, repository, digest, [bundle]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_INVALID');
  });

  it('of a stranger, of a file and of another artifact are told by the nearest reason', async () => {
    const file = messageBundle(Buffer.from(digest.slice(7), 'hex'), old);
    putBundles(node.registry, repository, digest, [signDigest(digest, stranger.privateKey), file]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_UNTRUSTED');
    const moved = signDigest(digestOf(Buffer.from('v1')), old.privateKey);
    putBundles(node.registry, repository, digest, [file, moved]);
    expect(await check(requires({ old }))).toBe('SIGNATURE_WRONG_SUBJECT');
  });

  it('in an index that is none are an error that says so', async () => {
    node.registry.serve(repository, `manifests/${referrersTag(digest)}`, Buffer.from('no'));
    expect(await check(requires({ old }))).toBe('ARTIFACT_MANIFEST_INVALID');
  });
});
