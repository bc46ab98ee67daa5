import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import type { Digest } from '../api/names.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import type { WriteBlob } from './blob-pool.ts';
import { digestOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { formOf } from './forms.ts';
import { defaultLimits, parseManifest } from './manifest.ts';
import { adapterFiles, type Packed, packFolder } from './pack.ts';
import { type PackForm, packAs } from './pack-forms.ts';
import { copyPacked } from './path-source.ts';
import { ContentStore } from './store.ts';

const { signal } = new AbortController();
const disk = diskOfTests();
let root: string;
beforeEach(() => {
  root = folderOfTest();
});

const files = {
  'adapter_config.json': '{"peft_type":"LORA","r":4}',
  'adapter_model.safetensors': 'weights',
  'README.md': 'words',
  // The same bytes twice are one blob, and two layers.
  LICENSE: 'words',
};

const folderOf = async (name: string, more: Readonly<Record<string, string>> = {}): Promise<string> => {
  const folder = join(root, name);
  await mkdir(folder);
  for (const [file, content] of Object.entries({ ...files, ...more }))
    await writeFile(join(folder, file), content);
  return folder;
};

const options = () => ({ disk, limits: defaultLimits, signal });
const pack = async (folder: string, form: PackForm, name = 'scratch'): Promise<Packed> => {
  const scratch = join(root, name);
  await mkdir(scratch);
  return await packAs(await adapterFiles(folder, options()), form, { scratch, disk, signal });
};
const jsonOf = ({ manifest }: Packed) =>
  JSON.parse(String(manifest)) as {
    readonly artifactType?: string;
    readonly config: { readonly mediaType: string; readonly digest: Packed['digest'] };
    readonly layers: readonly { readonly mediaType: string; readonly annotations?: object }[];
    readonly annotations: object;
  };

const raw: PackForm = { kind: 'ModelPack', layers: 'raw', legacyCnai: false };
const forms: readonly (readonly [string, string, PackForm])[] = [
  ['archives of one file', 'ModelPack', { ...raw, layers: 'tar' }],
  ['former names of ModelPack', 'ModelPack of the time before CNCF', { ...raw, legacyCnai: true }],
  [
    'archives by former names',
    'ModelPack of the time before CNCF',
    { kind: 'ModelPack', layers: 'tar', legacyCnai: true },
  ],
  ['an image', 'image', { kind: 'image' }],
];

describe('an adapter is packed as', () => {
  it.each(forms)('%s, and read again, byte by byte', async (_, form, how) => {
    const packed = await pack(await folderOf('a'), how);
    expect(formOf(parseManifest(packed.manifest, defaultLimits, 'x'))).toBe(form);
    await using store = await ContentStore.open({ root: join(root, 'store'), budgetBytes: 1e7, disk });
    const write: WriteBlob = copyPacked(packed);
    const digest = await store.add(packed.manifest, write, signal);
    expect(digest).toBe(packed.digest);
    for (const [name, content] of Object.entries(files))
      expect(await readFile(join(store.folder(digest), name), 'utf8')).toBe(content);
  });

  it.each(forms)('%s, with a digest of its own that depends on the files alone', async (_, __, how) => {
    const first = await pack(await folderOf('one'), how, 'first');
    const folder = await folderOf('two');
    await utimes(join(folder, 'README.md'), 1, 1);
    const second = await pack(folder, how, 'second');
    expect(second.digest).toBe(first.digest);
    expect(first.digest).not.toBe((await packFolder(folder, options())).digest);
    expect(jsonOf(first).annotations).toMatchObject({ 'adaptlet.io/kind': 'lora', 'adaptlet.io/rank': '4' });
  });
});

it('archives of one file keep the names and change the type', async () => {
  const { layers } = jsonOf(await pack(await folderOf('a'), { ...raw, layers: 'tar' }));
  expect(layers.map(({ mediaType }) => mediaType)).toEqual([
    'application/vnd.cncf.model.weight.config.v1.tar',
    'application/vnd.cncf.model.weight.v1.tar',
    'application/vnd.cncf.model.doc.v1.tar',
    'application/vnd.cncf.model.doc.v1.tar',
  ]);
  expect(layers[1]?.annotations).toEqual({
    'org.cncf.model.filepath': 'adapter_model.safetensors',
    'org.opencontainers.image.title': 'adapter_model.safetensors',
  });
});

it('former names are former in all places', async () => {
  const packed = await pack(await folderOf('a'), { ...raw, legacyCnai: true });
  expect(jsonOf(packed)).toMatchObject({
    artifactType: 'application/vnd.cnai.model.manifest.v1+json',
    config: { mediaType: 'application/vnd.cnai.model.config.v1+json' },
  });
  expect(String(packed.manifest)).not.toContain('cncf');
  expect(jsonOf(packed).layers[0]?.annotations).toHaveProperty(['org.cnai.model.filepath']);
});

it('an image says which layer it has once that is unpacked, in a configuration that an engine reads', async () => {
  const packed = await pack(await folderOf('a'), { kind: 'image' });
  const { config, layers, artifactType } = jsonOf(packed);
  expect(artifactType).toBeUndefined();
  expect(layers.map(({ mediaType }) => mediaType)).toEqual(['application/vnd.oci.image.layer.v1.tar+gzip']);
  const [layer] = parseManifest(packed.manifest, defaultLimits, 'x').layers;
  const blobOf = async (digest: Digest | undefined): Promise<Uint8Array> => {
    const blob = digest === undefined ? undefined : packed.blobs.get(digest);
    if (blob === undefined) throw new Error(`no blob ${digest}`);
    return 'bytes' in blob ? blob.bytes : await readFile(blob.path);
  };
  expect(JSON.parse(String(await blobOf(config.digest)))).toEqual({
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [digestOf(gunzipSync(await blobOf(layer?.digest)))] },
  });
});

it('a name that fits into no plain archive is refused', async () => {
  const folder = await folderOf('long', { [`${'n'.repeat(97)}.json`]: '{}' });
  expect(await codeOf(() => pack(folder, { ...raw, layers: 'tar' }))).toBe('ARTIFACT_FILE_REFUSED');
});
