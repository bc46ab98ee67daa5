import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { DiskThread } from './disk-thread.ts';
import { legacyPathAnnotation, pathAnnotation } from './manifest.ts';
import { modelPack } from './model-pack.ts';
import { type AdapterFiles, type Packed, type PackedFile, packFiles } from './pack.ts';
import { type TarInput, writeTar } from './tar-write.ts';

/** How an adapter is pushed where its readers know no better form. Each form has a digest of its own. */
export type PackForm =
  | { readonly kind: 'ModelPack'; readonly layers: 'raw' | 'tar'; readonly legacyCnai: boolean }
  | { readonly kind: 'image' };

export type FormParts = {
  /** Existing empty folder, for archives; it has to stay until they are pushed. */
  readonly scratch: string;
  readonly disk: DiskThread;
  readonly signal: AbortSignal;
};

/** Below it are the files of an image: where readers of such images look. */
const imageFolder = 'models/';

const archived = async (
  name: string,
  mediaType: string,
  inputs: readonly TarInput[],
  { scratch, disk, signal }: FormParts,
  fileName: string,
): Promise<PackedFile> => {
  const path = join(scratch, `${fileName}.tar`);
  await writeTar(path, inputs);
  const { digest, size } = await disk.hash(path, signal);
  return { name, path, mediaType, digest, size };
};

/** Of a raw layer an archive with the one file. */
const asTar = async (file: PackedFile, index: number, parts: FormParts): Promise<PackedFile> => {
  const { name, path, size, mediaType } = file;
  const tarType = mediaType.replace(/\.raw$/, '.tar');
  return await archived(name, tarType, [{ kind: 'file', name, path, size }], parts, String(index));
};

const cnai = (type: string): string => type.replace('application/vnd.cncf.', 'application/vnd.cnai.');

const packModel = async (
  { files, model, annotations }: AdapterFiles,
  { layers, legacyCnai }: Extract<PackForm, { kind: 'ModelPack' }>,
  parts: FormParts,
): Promise<Packed> => {
  const packed: PackedFile[] = [];
  for (const [index, file] of files.entries()) {
    const layer = layers === 'tar' ? await asTar(file, index, parts) : file;
    packed.push(legacyCnai ? { ...layer, mediaType: cnai(layer.mediaType) } : layer);
  }
  const pack = modelPack(model, packed);
  const types = legacyCnai
    ? { artifactType: cnai(pack.artifactType), configType: cnai(pack.configType) }
    : {};
  const pathKey = legacyCnai ? legacyPathAnnotation : pathAnnotation;
  return packFiles(packed, { ...pack, ...types, annotations, pathKey });
};

/** Stored, not deflated: weights hardly shrink, and the bytes are the same whatever made them. Some tools read no plain layers. */
const asGzip = async (file: PackedFile, { disk, signal }: FormParts): Promise<PackedFile> => {
  const path = `${file.path}.gz`;
  await pipeline(createReadStream(file.path), createGzip({ level: 0 }), createWriteStream(path), { signal });
  const { digest, size } = await disk.hash(path, signal);
  return { ...file, path, mediaType: `${file.mediaType}+gzip`, digest, size };
};

/**
 * An image that a container engine mounts: one layer, no program. The platform is one that has to be named; the files are
 * for any.
 */
const packImage = async ({ files, annotations }: AdapterFiles, parts: FormParts): Promise<Packed> => {
  const inputs: TarInput[] = [
    { kind: 'folder', name: imageFolder },
    ...files.map(({ name, path, size }) => ({
      kind: 'file' as const,
      name: `${imageFolder}${name}`,
      path,
      size,
    })),
  ];
  const layerType = 'application/vnd.oci.image.layer.v1.tar';
  const plain = await archived('', layerType, inputs, parts, 'image');
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [plain.digest] },
    }),
  );
  return packFiles([await asGzip(plain, parts)], {
    configType: 'application/vnd.oci.image.config.v1+json',
    config,
    annotations,
  });
};

/**
 * Packs the files of an adapter in a form.
 * @throws AdaptletError ARTIFACT_FILE_REFUSED, ARTIFACT_CHANGED
 */
export const packAs = async (adapter: AdapterFiles, form: PackForm, parts: FormParts): Promise<Packed> =>
  form.kind === 'image' ? await packImage(adapter, parts) : await packModel(adapter, form, parts);
