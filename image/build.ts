import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ArchitectureName } from './architecture.ts';
import { type MadeImage, makeImage, version } from './made-image.ts';
import { dockerEntry, document, layoutEntries, mediaTypes } from './oci/blobs.ts';
import { tar } from './oci/tar.ts';
import { bytesOf, type Entry, tree } from './rootfs/entry.ts';

/** As containerd and Kubernetes write out the `adaptlet:VERSION` of the chart. */
export const imageName = `docker.io/library/adaptlet:${version}`;

const named = { 'io.containerd.image.name': imageName, 'org.opencontainers.image.ref.name': version };

/** An image of one architecture, in files. */
export type BuiltImage = {
  /** An OCI archive, which `docker load` takes too. */
  readonly archive: string;
  /** Name under which containerd finds it after an import. */
  readonly name: string;
  /** Of the manifest: sha256:… */
  readonly digest: string;
  /** Of the layers, compressed; bytes. */
  readonly size: number;
  readonly sbom: string;
  readonly provenance: string;
};

/** Beside its place and then moved there: nobody reads half an archive. */
const writeArchive = async (file: string, entries: readonly Entry[]): Promise<void> => {
  const draft = `${file}.${process.pid}.tmp`;
  await pipeline(tar(tree(entries)), createWriteStream(draft));
  await rename(draft, file);
};

const write = async (made: MadeImage, folder: string): Promise<BuiltImage> => {
  const { architecture, manifest, config, layers } = made;
  await mkdir(folder, { recursive: true });
  const stem = join(folder, `adaptlet-${version}-${architecture}`);
  const built = {
    archive: `${stem}.tar`,
    name: imageName,
    digest: manifest.descriptor.digest,
    size: layers.reduce((sum, { size }) => sum + size, 0),
    sbom: `${stem}.cdx.json`,
    provenance: `${stem}.provenance.json`,
  };
  await writeArchive(built.archive, [
    ...layoutEntries([manifest, config], layers, [{ ...manifest.descriptor, annotations: named }]),
    dockerEntry(config.descriptor, layers, `adaptlet:${version}`),
  ]);
  await writeFile(built.sbom, made.sbom);
  await writeFile(built.provenance, made.provenance);
  return built;
};

const writeLayout = async (images: readonly MadeImage[], folder: string): Promise<string> => {
  const index = document(mediaTypes.index, {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [
      ...images.map(({ manifest }) => manifest.descriptor),
      ...images.flatMap(({ attached: [first] }) => (first === undefined ? [] : [first.descriptor])),
    ],
  });
  const documents = images.flatMap(({ manifest, config, attached }) => [manifest, config, ...attached]);
  const layers = images.flatMap((image) => image.layers);
  await rm(folder, { recursive: true, force: true });
  for (const entry of layoutEntries([index, ...documents], layers, [
    { ...index.descriptor, annotations: named },
  ])) {
    if (entry.kind !== 'file') continue;
    const path = join(folder, entry.path);
    await mkdir(dirname(path), { recursive: true });
    if (entry.content.kind === 'path') await copyFile(entry.content.path, path);
    else await writeFile(path, bytesOf(entry));
  }
  return index.descriptor.digest;
};

/**
 * Builds the image of one architecture into `folder`. Layers are kept in the user's cache: a second build is a matter of
 * seconds, of which most are spent on the lists of Debian's packages.
 * @throws no apt-get, no network on the first build, material with another digest than expected
 */
export const buildImage = async (options: {
  readonly arch: ArchitectureName;
  readonly folder: string;
}): Promise<BuiltImage> => write(await makeImage(options.arch), options.folder);

/** An image for several architectures, in files. */
export type BuiltImages = {
  readonly images: ReadonlyMap<ArchitectureName, BuiltImage>;
  /** Folder of an OCI layout with one index, and its digest. */
  readonly layout: string;
  readonly digest: string;
};

/** {@link buildImage} of each architecture, and an OCI layout with all of them, the bills of materials and the provenance. */
export const buildImages = async (options: {
  readonly archs: readonly ArchitectureName[];
  readonly folder: string;
  readonly say: (line: string) => void;
}): Promise<BuiltImages> => {
  const { archs, folder, say } = options;
  const made: MadeImage[] = [];
  const images = new Map<ArchitectureName, BuiltImage>();
  for (const arch of archs) {
    say(`${arch}: Node of npm, libraries of Debian, ONNX Runtime, and the bundled code`);
    const image = await makeImage(arch);
    const built = await write(image, folder);
    made.push(image);
    images.set(arch, built);
    say(`${arch}: ${built.archive}, ${(built.size / 2 ** 20).toFixed(1)} MiB, ${built.digest}`);
  }
  const layout = join(folder, 'oci');
  const digest = await writeLayout(made, layout);
  say(`${archs.join(' and ')}: ${layout}, ${digest}`);
  return { images, layout, digest };
};
