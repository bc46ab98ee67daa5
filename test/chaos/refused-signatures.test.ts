import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Digest } from '../../src/api/names.ts';
import type { FixtureArtifact } from '../../src/artifact/artifact.fixture.ts';
import { FakeRegistry } from '../../src/artifact/fake-registry.ts';
import { putBundles } from '../../src/artifact/signed-registry.fixture.ts';
import { issuer, soon, startKeyless, subject } from '../../src/signature/keyless.fixture.ts';
import { signDigest } from '../../src/signature/sign.ts';
import { aKeyPair, bundleFor, changed, messageBundle } from '../../src/signature/signatures.fixture.ts';
import { TestNode } from '../support/node.ts';
import { ownAdapter } from '../support/own-adapter.ts';
import { RegistryServer } from '../support/registry-server.ts';
import { waitFor } from '../support/wait.ts';

const [ours, stranger] = [aKeyPair(), aKeyPair()];
const day = 24 * 3_600_000;

type Make = (digest: Digest) => Promise<readonly Uint8Array[]> | readonly Uint8Array[];
const signed = (digest: Digest) => signDigest(digest, ours.privateKey);
const other = `sha256:${'b'.repeat(64)}` as Digest;

/** Adapters by name: what their registry has of signatures, and what is wrong with it. */
const refused: Readonly<Record<string, { readonly code: string; readonly make: Make }>> = {
  missing: { code: 'SIGNATURE_MISSING', make: () => [] },
  tampered: {
    code: 'SIGNATURE_INVALID',
    make: (digest) => [
      changed(signed(digest), ({ dsseEnvelope: { signatures } }) => {
        const sig = Buffer.from(signatures[0]?.sig ?? '', 'base64');
        sig.writeUInt8(sig.readUInt8(sig.length - 1) ^ 1, sig.length - 1);
        signatures[0] = { sig: sig.toString('base64') };
      }),
    ],
  },
  'wrong-key': { code: 'SIGNATURE_UNTRUSTED', make: (digest) => [signDigest(digest, stranger.privateKey)] },
  'wrong-subject': { code: 'SIGNATURE_WRONG_SUBJECT', make: () => [signed(other)] },
  'wrong-predicate': {
    code: 'SIGNATURE_WRONG_PREDICATE',
    make: (digest) => [
      bundleFor(
        {
          _type: 'https://in-toto.io/Statement/v1',
          subject: [{ digest: { sha256: digest.slice(7) } }],
          predicateType: 'https://slsa.dev/provenance/v1',
          predicate: {},
        },
        ours,
      ),
    ],
  },
  message: {
    code: 'SIGNATURE_FORM',
    make: (digest) => [messageBundle(Buffer.from(digest.slice(7), 'hex'), ours)],
  },
  expired: {
    code: 'SIGNATURE_EXPIRED',
    make: async (digest) => [await keyless.bundle(digest, subject, soon(day))],
  },
};
const served: Readonly<Record<string, Make>> = {
  'by-key': (digest) => [signed(digest)],
  'by-identity': async (digest) => [await keyless.bundle(digest, subject)],
};

const registry = new FakeRegistry();
const artifacts = new Map<string, FixtureArtifact>();
let keyless: Awaited<ReturnType<typeof startKeyless>>;
let server: RegistryServer;
let node: TestNode;

beforeAll(async () => {
  keyless = await startKeyless();
  const makes = {
    ...Object.fromEntries(Object.entries(refused).map(([name, { make }]) => [name, make])),
    ...served,
  };
  for (const [name, make] of Object.entries(makes)) {
    const artifact = ownAdapter(artifacts.size);
    artifacts.set(name, artifact);
    registry.put(name, artifact);
    putBundles(registry, name, artifact.digest, await make(artifact.digest));
  }
  server = await RegistryServer.start(registry);
  node = await TestNode.start();
  const signatures = {
    keys: [{ name: 'ours', publicKey: ours.pem }],
    trustRoot: keyless.trustRoot,
    identities: [{ name: 'ci', issuer, subject }],
  };
  const objects = [
    {
      kind: 'AdapterPolicy',
      metadata: { name: 'default' },
      spec: { clients: { anonymous: 'Allow' }, signatures },
    },
    ...Object.keys(makes).map((name) => ({
      kind: 'Adapter',
      metadata: { name },
      spec: {
        baseModel: 'tiny',
        source: { oci: { image: `${server.host}/${name}:latest` } },
        preload: { tier: 'Memory' },
      },
    })),
  ];
  const text = objects.map((one) => JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', ...one }));
  await node.write('all.yaml', text.join('\n---\n'));
});
afterAll(async () => {
  await node.dispose();
  await server[Symbol.asyncDispose]();
});

const viewOf = async (name: string) =>
  (await node.client.status()).adapters.find(({ key }) => key === `default/${name}`);

it.each(Object.keys(served))('a node process serves what is signed: %s', async (name) => {
  await waitFor('RAM', async () => (await viewOf(name))?.state === 'Resident');
  expect((await node.client.ask({ model: name, prompt: 'moon:' })).served.adapter).toBe(name);
});

it.each(Object.entries(refused))(
  'a node process says by its own reason why it does not serve: %s',
  async (name, { code }) => {
    // It is tried again now and then, and is not failed meanwhile.
    const { reason, message } = await waitFor(code, async () => {
      const view = await viewOf(name);
      return view?.state === 'Failed' && view;
    });
    expect({ reason, message }).toEqual({ reason: code, message: expect.stringMatching(/./) });
    const asked = node.client.ask({ model: name, prompt: 'moon:' });
    await expect(asked).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
      message: expect.stringContaining(code),
    });
    // None of its blobs was asked for, and nothing of it is there.
    const asksFor = [...(artifacts.get(name)?.blobs.keys() ?? [])].map((blob) => `${name}/blobs/${blob}`);
    expect(asksFor.length).toBe(3);
    expect(registry.reads.filter(({ path }) => asksFor.includes(path))).toEqual([]);
    const folders = await readdir(join(node.data, 'store/adapters'));
    expect(folders).not.toContain(artifacts.get(name)?.digest.slice('sha256:'.length));
  },
);
