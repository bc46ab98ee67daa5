import { writeFile } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import type { WriteBlob } from './blob-pool.ts';
import { digestOf } from './digest.ts';
import { type Descriptor, mediaTypes, titleAnnotation } from './manifest.ts';

/** Artifacts made by hand, for tests. */

export type FixtureArtifact = {
  readonly digest: Digest;
  readonly manifest: Uint8Array;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
};

export type FixtureTypes = { readonly artifactType?: string; readonly configType?: string };

export type FixtureLayer = { readonly bytes: Uint8Array } & Pick<
  Descriptor,
  'mediaType' | 'annotations' | 'urls'
>;

const describe = ({ bytes, ...rest }: FixtureLayer): Descriptor => ({
  ...rest,
  digest: digestOf(bytes),
  size: bytes.length,
});

/** An artifact of any layers; without types of its own as oras makes it. */
export const artifactOf = (
  layers: readonly FixtureLayer[],
  { artifactType, configType = 'application/vnd.oci.empty.v1+json' }: FixtureTypes = {},
): FixtureArtifact => {
  const config = { mediaType: configType, bytes: Buffer.from('{}') };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType,
      config: describe(config),
      layers: layers.map(describe),
    }),
  );
  const blobs = new Map([config, ...layers].map(({ bytes }) => [digestOf(bytes), bytes]));
  return { digest: digestOf(manifest), manifest, blobs };
};

/** A named file as a layer, as oras pushes it. */
export const fileLayer = (name: string, content: string | Uint8Array): FixtureLayer => ({
  mediaType: mediaTypes.weight,
  annotations: { [titleAnnotation]: name },
  bytes: Buffer.from(content),
});

/** An artifact of named files. */
export const filesArtifact = (files: Readonly<Record<string, string>>): FixtureArtifact =>
  artifactOf(Object.entries(files).map(([name, content]) => fileLayer(name, content)));

/** An artifact whose manifest gives one blob another size. */
export const withSize = (
  { manifest, blobs }: FixtureArtifact,
  digest: Digest,
  size: number,
): FixtureArtifact => {
  const told = JSON.parse(Buffer.from(manifest).toString('utf8'), (_, value) =>
    value?.digest === digest ? { ...value, size } : value,
  );
  const bytes = Buffer.from(JSON.stringify(told));
  return { digest: digestOf(bytes), manifest: bytes, blobs };
};

/** Writes the blobs of an artifact whole. */
export const writer =
  (artifact: FixtureArtifact): WriteBlob =>
  async (blob, path) => {
    await writeFile(path, artifact.blobs.get(blob.digest) ?? '');
  };

/** A tar archive. `type` is the flag of the format: `0` a file, `5` a folder, `2` a symbolic link. */
export const tarOf = (
  entries: readonly {
    readonly name: string;
    readonly content?: string;
    /** In place of a text. */
    readonly bytes?: Uint8Array;
    readonly type?: string;
  }[],
): Buffer => {
  const parts = entries.flatMap(({ name, content = '', bytes, type = '0' }) => {
    const body = Buffer.from(bytes ?? content);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'utf8');
    header.write('0000644\0', 100, 'latin1');
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write('        ', 148, 'latin1');
    header.write(type, 156, 'latin1');
    header.write('ustar\u000000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
};
