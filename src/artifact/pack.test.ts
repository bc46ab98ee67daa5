import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { digestOf } from './digest.ts';
import { type DiskThread, startDiskThread } from './disk-thread.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, parseManifest } from './manifest.ts';
import { adapterFacts, packFolder } from './pack.ts';

let disk: DiskThread;
let root: string;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'adaptlet-pack-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const config = {
  base_model_name_or_path: 'tiny',
  r: 4,
  target_modules: ['v_proj', 'q_proj'],
  task_type: 'CAUSAL_LM',
};

const folderOf = async (name: string, files: Readonly<Record<string, string>> = {}): Promise<string> => {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  const all = {
    'adapter_config.json': JSON.stringify(config),
    'adapter_model.safetensors': 'weights',
    ...files,
  };
  for (const [file, content] of Object.entries(all)) await writeFile(join(folder, file), content);
  return folder;
};

const pack = (folder: string, limits = {}) =>
  packFolder(folder, { disk, limits: { ...defaultLimits, ...limits }, signal: new AbortController().signal });

describe('the digest of a folder', () => {
  it('is that of its files: not of its place, its times or what does not belong to the adapter', async () => {
    const one = await folderOf('one', { 'README.md': 'hello' });
    const two = await folderOf('two', { 'README.md': 'hello' });
    await utimes(join(two, 'adapter_config.json'), 1, 1);
    await writeFile(join(two, 'optimizer.pt'), 'state');
    await writeFile(join(two, '.hidden.json'), '{}');
    await cp(one, join(two, 'checkpoint-10'), { recursive: true });
    expect((await pack(two)).digest).toBe((await pack(one)).digest);
  });

  it('is fixed: this test fails when packing changes, which changes the digest of every folder', async () => {
    expect((await pack(await folderOf('fixed'))).digest).toMatchInlineSnapshot(
      `"sha256:875fedb551b38484dc2696d0a7d9ecfda5fa2d5160fc9b6793fd1d8e2a52da0f"`,
    );
  });

  it.each([
    ['a byte of the weights', { 'adapter_model.safetensors': 'weightz' }],
    ['a byte of the configuration', { 'adapter_config.json': '{}' }],
    ['one file more', { 'tokenizer.json': '{}' }],
  ])('changes with %s', async (_, files) => {
    const before = await pack(await folderOf('before'));
    expect((await pack(await folderOf('after', files))).digest).not.toBe(before.digest);
  });
});

it('makes a manifest that its own reader understands, with every blob at hand', async () => {
  const packed = await pack(await folderOf('x', { 'README.md': 'hello' }));
  const manifest = parseManifest(packed.manifest, defaultLimits, 'x');
  expect(digestOf(packed.manifest)).toBe(packed.digest);
  expect(layersOf(manifest, 'x').map((l) => l.kind === 'file' && l.name)).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
  ]);
  expect([manifest.config, ...manifest.layers].every(({ digest }) => packed.blobs.has(digest))).toBe(true);
  const described = packed.blobs.get(manifest.config.digest);
  expect(described !== undefined && 'bytes' in described && JSON.parse(String(described.bytes))).toEqual({
    format: 'peft',
    baseModel: 'tiny',
    rank: 4,
    targets: ['q_proj', 'v_proj'],
    task: 'CAUSAL_LM',
  });
});

type Layer = { readonly mediaType: string; readonly annotations: Readonly<Record<string, string>> };

// Restated from the readers of others, as they were looked up: they are not run here.
it('has layers as other tools read them', async () => {
  const folder = await folderOf('read', { 'README.md': 'hello', 'tokenizer.json': '{}' });
  const manifest = JSON.parse(String((await pack(folder)).manifest)) as {
    readonly schemaVersion: number;
    readonly mediaType: string;
    readonly layers: readonly Layer[];
  };
  expect(manifest).toMatchObject({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
  });
  for (const { mediaType, annotations } of manifest.layers) {
    // modctl decodes by the end of the media type, and knows two.
    expect(mediaType).toMatch(/^application\/vnd\.cncf\.model\.(weight|weight\.config|doc)\.v1\.(raw|tar)$/);
    // kit and modctl name the file by the one, oras by the other; neither leaves the folder.
    expect(annotations['org.cncf.model.filepath']).toMatch(/^[^/\\]+$/);
    expect(annotations['org.opencontainers.image.title']).toBe(annotations['org.cncf.model.filepath']);
    // The time in it would give the same files another digest.
    expect(annotations).not.toHaveProperty(['org.cncf.model.file.metadata+json']);
  }
  // kit has one path of the model: with several weight layers the last would win.
  expect(manifest.layers.filter(({ mediaType }) => mediaType.includes('.weight.v1'))).toHaveLength(1);
});

it('takes out of a configuration what is a text, whatever else is there', () => {
  const facts = adapterFacts('{"r":"x","target_modules":["q",{"toString":null,"valueOf":null},7]}');
  expect(facts).toEqual({ format: 'peft', targets: ['q'] });
});

describe('a folder that is refused', () => {
  it('has links, pickles, too much, or is no adapter', async () => {
    const linked = await folderOf('linked');
    await symlink('/etc/passwd', join(linked, 'tokenizer.json'));
    expect(await codeOf(() => pack(linked))).toBe('ARTIFACT_FILE_REFUSED');
    expect(await codeOf(async () => pack(await folderOf('pickle', { 'adapter_model.bin': 'x' })))).toBe(
      'ADAPTER_PICKLE',
    );
    expect(await codeOf(async () => pack(await folderOf('many'), { maxFiles: 1 }))).toBe(
      'ARTIFACT_TOO_LARGE',
    );
    expect(await codeOf(async () => pack(await folderOf('big'), { maxBytes: 10 }))).toBe(
      'ARTIFACT_TOO_LARGE',
    );
    await mkdir(join(root, 'empty'));
    expect(await codeOf(() => pack(join(root, 'empty')))).toBe('ARTIFACT_NOT_FOUND');
    expect(await codeOf(() => pack(join(root, 'nowhere')))).toBe('ARTIFACT_NOT_FOUND');
  });
});
