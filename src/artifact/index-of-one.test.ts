import { describe, expect, it } from 'vitest';
import { type FixtureArtifact, filesArtifact } from './artifact.fixture.ts';
import { digestOf } from './digest.ts';
import { FakeRegistry } from './fake-registry.ts';
import { defaultLimits, parseManifest } from './manifest.ts';
import { parseReference } from './reference.ts';
import { Registry } from './registry.ts';
import { registryOptions } from './registry-options.fixture.ts';

const { signal } = new AbortController();
const one = filesArtifact({ 'adapter_config.json': '{}' });
const two = filesArtifact({ 'adapter_config.json': '{"r":1}' });

const entry = ({ digest, manifest }: FixtureArtifact, fields: object = {}) => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest,
  size: manifest.length,
  ...fields,
});
const platform = (os: string, architecture: string) => ({ platform: { os, architecture } });

/** A registry whose tag `latest` is an index of these. */
const indexOf = (...manifests: readonly object[]) => {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  const fake = new FakeRegistry();
  for (const artifact of [one, two]) fake.put('team/sql', artifact);
  const digest = digestOf(bytes);
  fake.put('team/sql', { digest, manifest: bytes, blobs: new Map() });
  const registry = new Registry({
    fetch: fake.fetch,
    ...registryOptions,
  });
  const ask = async (version: string) =>
    await registry.manifest(parseReference('registry.example/team/sql'), version, signal);
  return { digest, ask, registry };
};

describe('a tag of an index', () => {
  it('means the one artifact that is listed, whatever a builder says of where it came from', async () => {
    const { ask, registry } = indexOf(
      entry(one, platform('linux', 'amd64')),
      entry(two, platform('unknown', 'unknown')),
      entry(two, { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
    );
    expect(digestOf(await ask('latest'))).toBe(one.digest);
    expect(await registry.resolve(parseReference('registry.example/team/sql'), 'latest', signal)).toBe(
      one.digest,
    );
  });

  it('of two is refused, and the message lists them', async () => {
    const { ask } = indexOf(entry(one, platform('linux', 'amd64')), entry(two));
    const bytes = await ask('latest');
    const refuse = () => parseManifest(bytes, defaultLimits, 'x');
    expect(refuse).toThrow(`x is an index of 2 artifacts: ${one.digest} ("linux/amd64"), ${two.digest}.`);
    expect(refuse).toThrow('Name the digest of one');
  });

  it('of many, or of none, is refused in few words', async () => {
    const many = await indexOf(...Array.from({ length: 9 }, () => entry(one))).ask('latest');
    expect(() => parseManifest(many, defaultLimits, 'x')).toThrow('of 9 artifacts');
    expect(() => parseManifest(many, defaultLimits, 'x')).toThrow('and 4 more');
    const none = await indexOf().ask('latest');
    expect(() => parseManifest(none, defaultLimits, 'x')).toThrow('of 0 artifacts. Name');
  });
});

it('the digest of an index stays what was pinned: it is refused, and the message names the artifact', async () => {
  const { ask, digest } = indexOf(entry(one));
  const bytes = await ask(digest);
  expect(digestOf(bytes)).toBe(digest);
  expect(() => parseManifest(bytes, defaultLimits, 'x')).toThrow(one.digest);
});
