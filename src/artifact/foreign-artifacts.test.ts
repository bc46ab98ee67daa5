import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { refuseOther, refuseUnreadable } from './adapter-folder.ts';
import {
  artifactOf,
  type FixtureArtifact,
  fileLayer,
  filesArtifact,
  tarOf,
  writer,
} from './artifact.fixture.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import {
  changedImage,
  dockerModel,
  expectedFiles,
  formerOwn,
  ggufLora,
  imageOf,
  modelcar,
  modelKit,
  modelPackOf,
  ollama,
  orasFiles,
  orasFolder,
  system,
} from './foreign-artifacts.fixture.ts';
import { formOf } from './forms.ts';
import { defaultLimits, parseManifest } from './manifest.ts';
import { ContentStore } from './store.ts';

const { signal } = new AbortController();
const limits = { ...defaultLimits, maxBytes: 16_000_000 };
const disk = diskOfTests();
let root: string;
let store: ContentStore;
beforeEach(async () => {
  root = folderOfTest();
  store = await ContentStore.open({ root, budgetBytes: 1_000_000, disk, limits });
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
});

const manifestOf = ({ manifest }: FixtureArtifact) => parseManifest(manifest, defaultLimits, 'x');
const add = (artifact: FixtureArtifact) => store.add(artifact.manifest, writer(artifact), signal);

const contentOf = async (folder: string): Promise<Record<string, string>> => {
  const names = await readdir(folder);
  const pairs = names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const);
  return Object.fromEntries(await Promise.all(pairs));
};

const encodings = ['raw', 'tar', 'tar+gzip', 'tar+zstd'] as const;
const packs = (['cncf', 'cnai'] as const).flatMap((vendor) =>
  (['artifactType', 'config'] as const).flatMap((by) =>
    encodings.map((encoding): [string, string, FixtureArtifact] => [
      `a ModelPack of ${vendor}, ${encoding}, known by its ${by}`,
      vendor === 'cncf' ? 'ModelPack' : 'ModelPack of the time before CNCF',
      modelPackOf(vendor, encoding, by),
    ]),
  ),
);

const atTop = Object.entries(expectedFiles).map(([name, content]) => ({ name: `./${name}`, content }));

describe('what is read', () => {
  it.each<[string, string, FixtureArtifact]>([
    ...packs,
    ['a ModelKit', 'ModelKit', modelKit('')],
    ['a ModelKit, compressed', 'ModelKit', modelKit('+gzip')],
    ['a docker model', 'docker model', dockerModel()],
    ['files that oras pushed', 'files', orasFiles()],
    [
      'files that oras pushed with the configuration of an image',
      'files',
      orasFiles({ configType: 'application/vnd.oci.image.config.v1+json' }),
    ],
    ['a folder that oras pushed', 'files', orasFolder()],
    ['what Adaptlet made before its first release', 'files', formerOwn()],
    ['an image of OCI', 'image', modelcar('oci')],
    ['an image of docker', 'image', modelcar('docker')],
    ['an image whose layers change files of those below', 'image', changedImage()],
    ['an image with the files at its top', 'image', imageOf([atTop])],
  ])('%s', async (_, form, artifact) => {
    expect(formOf(manifestOf(artifact))).toBe(form);
    refuseOther(manifestOf(artifact), 'x');
    const digest = await add(artifact);
    const folder = store.folder(digest);
    expect(await contentOf(folder)).toEqual(expectedFiles);
    await store[Symbol.asyncDispose]();
    store = await ContentStore.open({ root, budgetBytes: 1_000_000, disk, limits });
    expect(store.folder(digest)).toBe(folder);
  });

  it('an image with a base model and nothing else: all of it', async () => {
    const digest = await add(imageOf([[{ name: 'models/model.onnx', content: 'graph' }]]));
    expect(await readdir(join(store.folder(digest), 'models'))).toEqual(['model.onnx']);
  });

  it('a base model with an adapter beside it is that of its graph: the whole of it', async () => {
    const digest = await add(filesArtifact({ 'model.onnx': 'graph', 'lora/adapter_config.json': '{}' }));
    expect((await readdir(store.folder(digest))).sort()).toEqual(['lora', 'model.onnx']);
  });
});

const outside = (mediaType: string, urls?: readonly string[]): FixtureArtifact =>
  artifactOf([
    fileLayer('adapter_config.json', '{}'),
    { mediaType, bytes: Buffer.from('x'), ...(urls === undefined ? {} : { urls }) },
  ]);
const layerType = 'application/vnd.oci.image.layer';

describe('what is refused, before anything of it is fetched', () => {
  it.each<[string, string, RegExp, FixtureArtifact]>([
    ['an Ollama model', 'ARTIFACT_FORMAT', /Ollama model.*GGUF.*PEFT saved/, ollama()],
    ['a LoRA as GGUF', 'ARTIFACT_FORMAT', /GGUF file.*PEFT saved/, ggufLora()],
    ['the same with a name', 'ARTIFACT_FORMAT', /sql\.gguf.*PEFT saved/, ggufLora('sql.gguf')],
    [
      'files with a GGUF and no adapter',
      'ARTIFACT_FORMAT',
      /sql\.gguf.*no adapter_config/,
      filesArtifact({ 'sql.gguf': 'x', 'README.md': 'x' }),
    ],
    [
      'an adapter of ONNX Runtime',
      'ARTIFACT_FORMAT',
      /sql\.onnx_adapter.*no adapter_config.*PEFT saved/,
      filesArtifact({ 'sql.onnx_adapter': 'x', 'README.md': 'x' }),
    ],
    [
      'two adapters',
      'ARTIFACT_AMBIGUOUS',
      /2 adapters: in its top, "?checkpoint-10"?.*of its own/,
      filesArtifact({ 'adapter_config.json': 'a', 'checkpoint-10/adapter_config.json': 'b' }),
    ],
    ['an encrypted layer', 'ARTIFACT_FORMAT', /is encrypted/, outside(`${layerType}.v1.tar+gzip+encrypted`)],
    [
      'a layer that may not be distributed',
      'ARTIFACT_FORMAT',
      /outside of the registry/,
      outside(`${layerType}.nondistributable.v1.tar+gzip`),
    ],
    [
      'a foreign layer of docker',
      'ARTIFACT_FORMAT',
      /outside of the registry/,
      outside('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
    ],
    [
      'a layer with an address',
      'ARTIFACT_FORMAT',
      /outside of the registry/,
      outside(`${layerType}.v1.tar`, ['https://elsewhere.example/x']),
    ],
  ])('%s', async (_, code, words, artifact) => {
    const refuse = () => {
      refuseUnreadable(manifestOf(artifact), 'registry.example/x');
    };
    expect(refuse).toThrow(words);
    expect(await codeOf(refuse)).toBe(code);
  });

  it('and a base model with an adapter of ONNX Runtime beside it is not', () => {
    const both = filesArtifact({ 'model.onnx': 'graph', 'sql.onnx_adapter': 'x' });
    expect(() => refuseUnreadable(manifestOf(both), 'x')).not.toThrow();
  });

  it('a base model, by who wants an adapter', async () => {
    const manifest = manifestOf(filesArtifact({ 'model.onnx': 'graph' }));
    refuseUnreadable(manifest, 'x');
    expect(await codeOf(() => refuseOther(manifest, 'x'))).toBe('ARTIFACT_NOT_FOUND');
  });
});

describe('what is refused once it is here, and leaves nothing', () => {
  const adapter = { name: 'models/adapter_config.json', content: '{}' };
  const zeros = '0'.repeat(limits.maxBytes / 4);
  it.each<[string, string, FixtureArtifact]>([
    [
      'an archive with two adapters',
      'ARTIFACT_AMBIGUOUS',
      artifactOf([
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          bytes: tarOf([adapter, { name: 'other/adapter_config.json', content: '{}' }]),
        },
      ]),
    ],
    [
      'an image with two adapters',
      'ARTIFACT_AMBIGUOUS',
      imageOf([system, [adapter], [{ name: 'other/adapter_config.json', content: '{}' }]]),
    ],
    [
      'an image with a link for the weights',
      'ARTIFACT_FILE_REFUSED',
      imageOf([system, [adapter, { name: 'models/adapter_model.safetensors', type: '2' }]]),
    ],
    [
      'an image with a way out of the folder',
      'ARTIFACT_FILE_REFUSED',
      imageOf([[adapter, { name: 'models/../../out' }]]),
    ],
    [
      'an image that has a file twice in a layer',
      'ARTIFACT_FILE_REFUSED',
      imageOf([[adapter, { name: './models/adapter_config.json', content: 'x' }]]),
    ],
    ['an image of a system alone', 'ARTIFACT_NOT_FOUND', imageOf([system])],
    [
      'an image of adapters without end',
      'ARTIFACT_TOO_LARGE',
      imageOf([Array.from({ length: 10_001 }, (_, n) => ({ name: `${n}/adapter_config.json` }))]),
    ],
    [
      'an image that unpacks to more than the disk has',
      'STORE_FULL',
      imageOf([[adapter, { name: 'models/w', content: 'x'.repeat(1_000_000) }]]),
    ],
    [
      'an image that takes away more than any does',
      'ARTIFACT_TOO_LARGE',
      imageOf([[adapter], Array.from({ length: 10_001 }, (_, n) => ({ name: `.wh.${n}` }))]),
    ],
    [
      'an image whose layers unpack to more than is taken, all together, whatever is in them',
      'ARTIFACT_TOO_LARGE',
      imageOf([[adapter], ...Array.from({ length: 5 }, (_, n) => [{ name: `lib/${n}`, content: zeros }])]),
    ],
  ])('%s', async (_, code, artifact) => {
    expect(await codeOf(() => add(artifact))).toBe(code);
    expect(store.list()).toEqual([]);
    expect(await readdir(join(root, 'adapters'))).toEqual([]);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });
});
