import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { artifactOf, type FixtureArtifact, fileLayer } from './artifact.fixture.ts';
import { makeDelta } from './delta/make.ts';
import { deltaType, fromAnnotation, packDelta } from './delta-manifest.ts';
import { digestOf } from './digest.ts';
import type { FakeRegistry } from './fake-registry.ts';

/** A version of an adapter, and its weights. */
export type FixtureVersion = FixtureArtifact & { readonly weights: Uint8Array };

export const versionWith = (weights: Uint8Array, config = '{"r":1}'): FixtureVersion => ({
  ...artifactOf([fileLayer('adapter_config.json', config), fileLayer('adapter_model.safetensors', weights)]),
  weights,
});

/** The delta between two files. */
export const deltaBetween = async (from: Uint8Array, to: Uint8Array): Promise<Buffer> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-delta-'));
  try {
    const [base, next, target] = ['base', 'next', 'delta'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(base, from);
    await writeFile(next, to);
    makeDelta({
      from: { digest: digestOf(from), size: from.length, path: base },
      to: { digest: digestOf(to), size: to.length, path: next },
      target,
    });
    return await readFile(target);
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** An artifact that says it is a delta. What it says may be wrong. */
export const deltaArtifact = (
  says: {
    readonly from: Digest;
    readonly subject: Digest;
    readonly fromFile: Digest;
    readonly toFile: Digest;
  },
  delta: Uint8Array,
): FixtureArtifact => {
  const digest = digestOf(delta);
  const file = { digest, size: delta.length, from: says.fromFile, to: says.toFile, path: '', name: 'w' };
  const packed = packDelta(says.from, { digest: says.subject, size: 1 }, [file]);
  return { digest: packed.digest, manifest: packed.manifest, blobs: new Map([[digest, delta]]) };
};

/** Attaches a delta between two versions; `annotated`: whether the list of the registry says of which base it is. */
export const offerDelta = async (
  registry: FakeRegistry,
  repository: string,
  [from, to]: readonly [FixtureVersion, FixtureVersion],
  {
    annotated = true,
    hasBytes = true,
    delta,
    says = {},
  }: {
    readonly annotated?: boolean;
    readonly hasBytes?: boolean;
    readonly delta?: Uint8Array;
    readonly says?: Partial<Parameters<typeof deltaArtifact>[0]>;
  } = {},
): Promise<FixtureArtifact> => {
  const bytes = delta ?? (await deltaBetween(from.weights, to.weights));
  const [fromFile, toFile] = [digestOf(from.weights), digestOf(to.weights)];
  const artifact = deltaArtifact({ from: from.digest, subject: to.digest, fromFile, toFile, ...says }, bytes);
  const annotations = annotated ? { annotations: { [fromAnnotation]: says.from ?? from.digest } } : {};
  const sent = hasBytes ? artifact : { ...artifact, blobs: new Map() };
  registry.refer(repository, to.digest, sent, { artifactType: deltaType, ...annotations });
  return artifact;
};
