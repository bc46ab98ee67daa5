import {
  artifactOf,
  type FixtureArtifact,
  fileLayer,
  filesArtifact,
  tarOf,
} from '../../../src/artifact/artifact.fixture.ts';

const config = '{"r":1}';
const files = (name: string): FixtureArtifact =>
  filesArtifact({ 'adapter_config.json': config, 'adapter_model.safetensors': `${name} `.repeat(100) });

/** An archive with a folder of its own, as oras packs one. */
const packed = (name: string): FixtureArtifact =>
  artifactOf([
    {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      bytes: tarOf([
        { name: 'inner', type: '5' },
        { name: 'inner/adapter_config.json', content: config },
        { name: 'inner/adapter_model.safetensors', content: `${name} `.repeat(100) },
      ]),
    },
  ]);

/** Every artifact of the test, by the name of its adapter. */
export const artifacts = {
  /** In RAM and in use all the time. */
  ram: files('ram'),
  /** On the disk from before; one of them rots there, one is removed. */
  packed: packed('packed'),
  rotten: files('rotten'),
  gone: files('gone'),
  damaged: files('damaged'),
  short: files('short'),
  /** They come. */
  fresh: files('fresh'),
  inner: artifactOf([fileLayer('inner/adapter_config.json', config), fileLayer('inner/x.txt', 'x')]),
  unpacked: packed('unpacked'),
  copied: files('copied'),
  twice: files('twice'),
  broken: files('broken'),
} as const;
export type Name = keyof typeof artifacts;
export const names = Object.keys(artifacts) as readonly Name[];
export const before = ['ram', 'packed', 'rotten', 'gone', 'damaged', 'short'] as const;
export const nameOf = new Map(names.map((name) => [artifacts[name].digest, name]));

/** The large blob of an artifact. */
export const weightsOf = (name: Name) => {
  const [largest] = [...artifacts[name].blobs].sort(([, a], [, b]) => b.length - a.length);
  if (largest === undefined) throw new Error(`${name} has no blobs`);
  return largest;
};
