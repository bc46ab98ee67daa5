import { gzipSync, zstdCompressSync } from 'node:zlib';
import { artifactOf, type FixtureArtifact, type FixtureLayer, tarOf } from './artifact.fixture.ts';

/**
 * Artifacts as other tools make them, by their documented formats: model-spec, kitops, docker/model-spec, ollama, oras and
 * the image specification. None of them comes from the tool itself; oras and crane are run in test/integration.
 */

const config = '{"peft_type":"LORA","r":4}';
const weights = 'weights';
/** The files that every one of them has to give. */
export const expectedFiles = { 'adapter_config.json': config, 'adapter_model.safetensors': weights };

const layer = (
  mediaType: string,
  bytes: string | Uint8Array,
  annotations: Readonly<Record<string, string>> = {},
): FixtureLayer => ({ mediaType, bytes: Buffer.from(bytes), annotations });

const packs = { '': (tar: Buffer) => tar, '+gzip': gzipSync, '+zstd': zstdCompressSync };
type Compressed = keyof typeof packs;

const inFolder = (folder: string) =>
  Object.entries(expectedFiles).map(([name, content]) => ({ name: `${folder}${name}`, content }));

/** A layer for each file. `by`: whether the type of the artifact or that of its configuration says what it is. */
export const modelPackOf = (
  vendor: 'cncf' | 'cnai',
  encoding: 'raw' | `tar${Compressed}`,
  by: 'artifactType' | 'config',
): FixtureArtifact => {
  const file = (role: string, name: string, content: string): FixtureLayer => {
    const compress = encoding === 'raw' ? undefined : packs[encoding.slice('tar'.length) as Compressed];
    const bytes = compress === undefined ? Buffer.from(content) : compress(tarOf([{ name, content }]));
    return layer(`application/vnd.${vendor}.model.${role}.v1.${encoding}`, bytes, {
      [`org.${vendor}.model.filepath`]: name,
    });
  };
  return artifactOf(
    [
      file('weight.config', 'adapter_config.json', config),
      file('weight', 'adapter_model.safetensors', weights),
    ],
    by === 'artifactType'
      ? { artifactType: `application/vnd.${vendor}.model.manifest.v1+json` }
      : { configType: `application/vnd.${vendor}.model.config.v1+json` },
  );
};

/** kit: a configuration of its own, and parts of the model as archives with their paths below the Kitfile. */
export const modelKit = (compressed: '' | '+gzip'): FixtureArtifact =>
  artifactOf(
    [
      layer(
        `application/vnd.kitops.modelkit.model.v1.tar${compressed}`,
        packs[compressed](tarOf([{ name: 'model/', type: '5' }, ...inFolder('model/adapter/')])),
      ),
      layer(
        `application/vnd.kitops.modelkit.docs.v1.tar${compressed}`,
        packs[compressed](tarOf([{ name: 'README.md', content: 'words' }])),
      ),
    ],
    { configType: 'application/vnd.kitops.modelkit.config.v1+json' },
  );

/** docker/model-spec, configuration 0.2: files under their paths. */
export const dockerModel = (): FixtureArtifact =>
  artifactOf(
    [
      layer('application/vnd.docker.ai.safetensors', weights, {
        'org.cncf.model.filepath': 'adapter_model.safetensors',
      }),
      layer('application/vnd.docker.ai.model.file', config, {
        'org.cncf.model.filepath': 'adapter_config.json',
      }),
    ],
    { configType: 'application/vnd.docker.ai.model.config.v0.2+json' },
  );

/** `oras push REF FILES` and `oras push REF FOLDER/`. */
export const orasFiles = (
  types: Parameters<typeof artifactOf>[1] = { artifactType: 'application/vnd.unknown.artifact.v1' },
): FixtureArtifact =>
  artifactOf(
    Object.entries(expectedFiles).map(([name, content]) =>
      layer('application/vnd.oci.image.layer.v1.tar', content, { 'org.opencontainers.image.title': name }),
    ),
    types,
  );
export const orasFolder = (): FixtureArtifact =>
  artifactOf(
    [
      layer(
        'application/vnd.oci.image.layer.v1.tar+gzip',
        gzipSync(tarOf([{ name: 'sql', type: '5' }, ...inFolder('sql/')])),
        { 'org.opencontainers.image.title': 'sql', 'io.deis.oras.content.unpack': 'true' },
      ),
    ],
    { artifactType: 'application/vnd.unknown.artifact.v1' },
  );

/** What Adaptlet itself once made. */
export const formerOwn = (): FixtureArtifact =>
  artifactOf(
    Object.entries(expectedFiles).map(([name, content]) =>
      layer('application/vnd.cncf.model.weight.v1.raw', content, { 'org.cncf.model.filepath': name }),
    ),
    {
      artifactType: 'application/vnd.adaptlet.adapter.v1',
      configType: 'application/vnd.adaptlet.adapter.config.v1+json',
    },
  );

export const imageTypes = {
  oci: ['application/vnd.oci.image.config.v1+json', 'application/vnd.oci.image.layer.v1.tar+gzip'],
  docker: [
    'application/vnd.docker.container.image.v1+json',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ],
} as const;

type Entries = Parameters<typeof tarOf>[0];

/** An image of any layers. */
export const imageOf = (
  layers: readonly Entries[],
  kind: keyof typeof imageTypes = 'oci',
): FixtureArtifact => {
  const [configType, layerType] = imageTypes[kind];
  return artifactOf(
    layers.map((entries) => layer(layerType, gzipSync(tarOf(entries)))),
    { configType },
  );
};

/** The beginning of busybox: what no artifact of files may have. */
export const system: Entries = [
  { name: 'bin/', type: '5' },
  { name: 'bin/busybox', content: 'program' },
  { name: 'bin/sh', type: '1' },
  { name: 'etc/mtab', type: '2' },
  { name: 'dev/console', type: '3' },
];

/** KServe's modelcar: `FROM busybox`, `COPY adapter /models`. */
export const modelcar = (kind: keyof typeof imageTypes): FixtureArtifact =>
  imageOf([system, [{ name: 'models/', type: '5' }, ...inFolder('models/')]], kind);

/** Files written anew, and taken away, by the layers above. */
export const changedImage = (): FixtureArtifact =>
  imageOf([
    [...inFolder('old/'), { name: 'data/adapter_model.safetensors', content: 'first' }],
    [{ name: '.wh.old' }, { name: 'data/notes.txt', content: 'gone' }],
    [...inFolder('data/'), { name: 'data/.wh.notes.txt' }],
  ]);

/** ollama: parts without names. */
export const ollama = (): FixtureArtifact =>
  artifactOf(
    [
      layer('application/vnd.ollama.image.model', 'GGUF'),
      layer('application/vnd.ollama.image.adapter', 'GGUF'),
    ],
    { configType: 'application/vnd.docker.container.image.v1+json' },
  );

/** docker/model-spec: a LoRA as GGUF, with or without a name. */
export const ggufLora = (name?: string): FixtureArtifact =>
  artifactOf(
    [
      layer(
        'application/vnd.docker.ai.gguf.v3.lora',
        'GGUF',
        name === undefined ? {} : { 'org.cncf.model.filepath': name },
      ),
    ],
    { configType: 'application/vnd.docker.ai.model.config.v0.1+json' },
  );
