import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { attach } from './attach.ts';
import { digestOf } from './digest.ts';
import { mediaTypes } from './manifest.ts';
import { parseReference } from './reference.ts';
import { referrersOf, referrersTag } from './referrers.ts';
import { Registry } from './registry.ts';
import { registryOptions } from './registry-options.fixture.ts';
import { RegistryPush } from './registry-push.ts';

const never = new AbortController().signal;
const image = parseReference('r.test/a/b:v2');
const subject = digestOf(Buffer.from('subject'));
const artifactType = 'application/vnd.test.note';
const byTag = `manifests/${referrersTag(subject)}`;

/** A registry that keeps manifests, with or without the API for referrers. `instead`: what it has in place of what is put. */
const registryOf = (
  hasApi: boolean,
  instead: (path: string, bytes: Buffer) => Buffer = (_, bytes) => bytes,
) => {
  const kept = new Map<string, Buffer>();
  const options = {
    fetch: (async (input, init) => {
      const { pathname } = new URL(new Request(input).url);
      const path = pathname.replace('/v2/a/b/', '');
      const digest = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      if (path.startsWith('referrers/')) {
        return hasApi ? new Response('{"manifests":[]}') : new Response(null, { status: 404 });
      }
      if (init?.method === 'HEAD') return new Response(null, { status: 200 });
      if (init?.method !== 'PUT') {
        const found = kept.get(path);
        return found === undefined
          ? new Response(null, { status: 404 })
          : new Response(new Uint8Array(found));
      }
      const bytes = Buffer.from(await new Response(init.body).arrayBuffer());
      kept.set(path, instead(path, bytes));
      return new Response(null, { status: 201, headers: { 'docker-content-digest': digest(bytes) } });
    }) satisfies typeof fetch,
    ...registryOptions,
  };
  const clients = { registry: new Registry(options), push: new RegistryPush(options) };
  const add = (text: string) => {
    const manifest = Buffer.from(text);
    const packed = { digest: digestOf(manifest), manifest, blobs: new Map(), bytes: 0 };
    return attach(clients, image, { packed, subject, artifactType, annotations: { of: text } }, never);
  };
  const list = async () =>
    (await referrersOf(clients.registry, image, { subject, artifactType }, never)).referrers.map(
      ({ annotations }) => annotations?.['of'],
    );
  return { kept, add, list };
};

describe('what refers to an artifact', () => {
  it('is pushed by its digest where the registry has the API, and no tag is written', async () => {
    const { kept, add } = registryOf(true);
    expect(await add('one')).toBe('api');
    expect([...kept.keys()]).toEqual([`manifests/${digestOf(Buffer.from('one'))}`]);
  });

  it('is entered under the fallback tag where there is none, beside what is there, once', async () => {
    const { kept, add, list } = registryOf(false);
    const foreign = { mediaType: mediaTypes.manifest, digest: 'sha512:00', size: 1, more: { x: 1 } };
    kept.set(byTag, Buffer.from(JSON.stringify({ manifests: [foreign] })));
    for (const text of ['one', 'two', 'one']) expect(await add(text)).toBe('tag');
    expect(await list()).toEqual(['one', 'two']);
    const index = JSON.parse(String(kept.get(byTag)));
    expect(index).toMatchObject({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [foreign, {}, {}],
    });
  });

  it('is entered again where somebody else wrote over it, and that one is not lost', async () => {
    const others = [Buffer.from(JSON.stringify({ manifests: [{ digest: 'other' }] }))];
    const { kept, add, list } = registryOf(false, (path, bytes) =>
      path === byTag ? (others.pop() ?? bytes) : bytes,
    );
    await add('one');
    expect(await list()).toEqual(['one']);
    expect(String(kept.get(byTag))).toContain('"other"');
  });

  it('is an error where it is never listed', async () => {
    const empty = Buffer.from('{"manifests":[]}');
    const { add } = registryOf(false, (path, bytes) => (path === byTag ? empty : bytes));
    expect(await codeOf(() => add('one'))).toBe('REGISTRY_REFUSED');
  });
});
