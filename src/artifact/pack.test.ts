import { cp, mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import type { Digest } from '../api/names.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { adapterFacts } from './adapter-facts.ts';
import { digestOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, parseManifest } from './manifest.ts';
import { packFolder } from './pack.ts';

const disk = diskOfTests();
let root: string;
beforeEach(() => {
  root = folderOfTest();
});

const config = {
  peft_type: 'LORA',
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
  for (const [file, content] of Object.entries(all)) await writeFile(join(folder, file), content, 'latin1');
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
      `"sha256:56deafe1b55111fee01a0559d56e693e2c579e262bcfc723f79132cabb6e8c6d"`,
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

type Layer = {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
};

/** The manifest of a folder and its configuration, as they are pushed. */
const pushed = async (folder: string) => {
  const packed = await pack(folder);
  const manifest = JSON.parse(String(packed.manifest)) as {
    readonly artifactType: string;
    readonly config: { readonly digest: Digest; readonly mediaType: string };
    readonly layers: readonly Layer[];
    readonly annotations: Readonly<Record<string, string>>;
  };
  const blob = packed.blobs.get(manifest.config.digest);
  if (blob === undefined || !('bytes' in blob)) throw new Error('no configuration');
  return { packed, manifest, config: JSON.parse(String(blob.bytes)) as object };
};

const weightsOf = (tensors: object): string => {
  const header = JSON.stringify({ __metadata__: { format: 'pt' }, ...tensors });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return `${length.toString('latin1')}${header}`;
};
const tensor = (dtype: string, ...shape: readonly number[]) => ({ dtype, shape, data_offsets: [0, 0] });

describe('the manifest of a folder', () => {
  it('has every blob at hand, and layers in an order of their own: configuration, weights, words, data', async () => {
    const names = ['README.md', 'LICENSE', 'tokenizer.json', 'a.json', 'examples.jsonl'];
    const folder = await folderOf('x', Object.fromEntries(names.map((name) => [name, name])));
    for (const name of ['train.jsonl', 'optimizer.safetensors', 'events.log'])
      await writeFile(join(folder, name), 'x');
    const packed = await pack(folder);
    const manifest = parseManifest(packed.manifest, defaultLimits, 'x');
    expect(digestOf(packed.manifest)).toBe(packed.digest);
    expect(layersOf(manifest, 'x').map((l) => l.kind === 'file' && l.name)).toEqual([
      'adapter_config.json',
      'a.json',
      'tokenizer.json',
      'adapter_model.safetensors',
      'LICENSE',
      'README.md',
      'examples.jsonl',
    ]);
    expect([manifest.config, ...manifest.layers].every(({ digest }) => packed.blobs.has(digest))).toBe(true);
  });

  it('says what the adapter is, by annotations where ModelPack has no word', async () => {
    const weights = weightsOf({ a: tensor('BF16', 4, 300), b: tensor('BF16', 300, 4), c: tensor('F32', 8) });
    const { manifest, config: described } = await pushed(
      await folderOf('facts', { 'adapter_model.safetensors': weights }),
    );
    expect(manifest.annotations).toEqual({
      'adaptlet.io/kind': 'lora',
      'adaptlet.io/base-name': 'tiny',
      'adaptlet.io/format': 'peft',
      'adaptlet.io/rank': '4',
      'adaptlet.io/targets': 'q_proj,v_proj',
    });
    expect(described).toEqual({
      config: {
        architecture: 'transformer',
        format: 'safetensors',
        paramSize: '2.41K',
        precision: 'bfloat16',
      },
      descriptor: {},
      modelfs: { type: 'layers', diffIds: manifest.layers.map(({ digest }) => digest) },
    });
  });

  it.each([
    ['dora', { peft_type: 'LORA', use_dora: true }],
    ['ia3', { peft_type: 'IA3' }],
    [undefined, { peft_type: 'a\nb' }],
    [undefined, {}],
  ])('has the kind %s of %j', async (kind, fields) => {
    const folder = await folderOf('kind', { 'adapter_config.json': JSON.stringify(fields) });
    expect((await pushed(folder)).manifest.annotations['adaptlet.io/kind']).toBe(kind);
  });

  it.each([
    ['is no safetensors file', 'weights'],
    ['is empty', ''],
    ['has a header that is longer than it', `\u00ff\u00ff${'\0'.repeat(6)}{}`],
    ['has no tensors', weightsOf({})],
    ['has a tensor without a shape', weightsOf({ a: { dtype: 'F32' } })],
    ['has a type that is no type', weightsOf({ a: tensor('constructor', -1, 4) })],
  ])('has a paramSize also where the file with the weights %s', async (_, weights) => {
    const folder = await folderOf('odd', { 'adapter_model.safetensors': weights });
    expect((await pushed(folder)).config).toMatchObject({ config: { paramSize: '0' } });
  });
});

/** Restated from the sources of other tools, as they were looked up: the tools are not run here. */
describe('what other tools ask of a manifest', () => {
  const read = async () =>
    await pushed(
      await folderOf('read', { 'README.md': 'hello', 'tokenizer.json': '{}', 'examples.jsonl': '{}' }),
    );

  it('ModelPack: its type and that of its configuration, in which no key is unknown', async () => {
    const { packed, manifest, config: described } = await read();
    expect(JSON.parse(String(packed.manifest))).toMatchObject({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.cncf.model.manifest.v1+json',
      config: { mediaType: 'application/vnd.cncf.model.config.v1+json' },
    });
    expect(Object.keys(described)).toEqual(['config', 'descriptor', 'modelfs']);
    expect(manifest.layers.length).toBeGreaterThanOrEqual(1);
  });

  it('modctl: a decoder by the end of the media type, raw or tar, and a file name', async () => {
    for (const { mediaType, annotations } of (await read()).manifest.layers) {
      expect(mediaType).toMatch(
        /^application\/vnd\.cncf\.model\.(weight|weight\.config|doc|dataset)\.v1\.(raw|tar)$/,
      );
      // It joins the name to its folder without a look.
      expect(annotations['org.cncf.model.filepath']).toMatch(/^[^/\\]+$/);
    }
  });

  it('kit: a file name on every layer, and one layer of weights, of which the last would win', async () => {
    const { layers } = (await read()).manifest;
    expect(layers.every(({ annotations }) => annotations['org.cncf.model.filepath'] !== undefined)).toBe(
      true,
    );
    expect(layers.filter(({ mediaType }) => mediaType.includes('.weight.v1'))).toHaveLength(1);
    const weight = layers.findIndex(({ mediaType }) => mediaType.includes('.weight.v1'));
    const lastConfig = layers.findLastIndex(({ mediaType }) => mediaType.includes('.weight.config.v1'));
    expect(lastConfig).toBeLessThan(weight);
  });

  it('docker model: an artifactType, and paramSize in the configuration', async () => {
    const { manifest, config: described } = await read();
    expect(manifest.artifactType).not.toBe('');
    expect(described).toHaveProperty('config.paramSize');
  });

  it('oras: a title on every layer, which is the file name of the others', async () => {
    for (const { annotations } of (await read()).manifest.layers)
      expect(annotations['org.opencontainers.image.title']).toBe(annotations['org.cncf.model.filepath']);
  });

  it('all: no times, which would give the same files another digest', async () => {
    const { packed, config: described } = await read();
    const all = `${String(packed.manifest)}${JSON.stringify(described)}`;
    expect(all).not.toMatch(/createdAt|created|file\.metadata|mtime/);
  });
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
