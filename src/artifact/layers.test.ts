import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { artifactOf, type FixtureLayer, fileLayer } from './artifact.fixture.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, parseManifest } from './manifest.ts';

const parse = (bytes: Uint8Array, limits = {}) => parseManifest(bytes, { ...defaultLimits, ...limits }, 'x');
const layers = (...fixtures: readonly FixtureLayer[]) =>
  layersOf(parse(artifactOf(fixtures).manifest), 'x').map((l) =>
    l.kind === 'file' ? `file ${l.name}` : `archive ${l.compression}`,
  );

const layer = (mediaType: string, annotations: Record<string, string> = {}): FixtureLayer => ({
  mediaType,
  annotations,
  bytes: Buffer.from(mediaType),
});
const title = 'org.opencontainers.image.title';
const unpack = 'io.deis.oras.content.unpack';
const tar = 'application/vnd.oci.image.layer.v1.tar';

describe('a layer', () => {
  it.each<[string, FixtureLayer, string]>([
    ['of oras, a file with the type of an archive', layer(tar, { [title]: 'a.json' }), 'file a.json'],
    ['of oras, a folder', layer(`${tar}+gzip`, { [title]: 'dir', [unpack]: 'true' }), 'archive gzip'],
    [
      'of ModelPack, raw',
      layer('application/vnd.cncf.model.weight.v1.raw', { 'org.cncf.model.filepath': 'w' }),
      'file w',
    ],
    [
      'of ModelPack, an archive',
      layer('application/vnd.cncf.model.weight.v1.tar', { [title]: 'w' }),
      'archive none',
    ],
    ['of ModelPack, compressed', layer('application/vnd.cncf.model.weight.v1.tar+zstd'), 'archive zstd'],
    ['without a name, an archive', layer(`${tar}+zstd`), 'archive zstd'],
  ])('%s', (_, fixture, expected) => {
    expect(layers(fixture)).toEqual([expected]);
  });

  it.each<[string, FixtureLayer, string]>([
    [
      'of ModelPack before CNCF, raw',
      layer('application/vnd.cnai.model.weight.v1.raw', { 'org.cnai.model.filepath': 'w' }),
      'file w',
    ],
    [
      'of kit, an archive whatever its name',
      layer('application/vnd.kitops.modelkit.model.v1.tar+gzip', { [title]: 'w' }),
      'archive gzip',
    ],
  ])('%s', (_, fixture, expected) => {
    expect(layers(fixture)).toEqual([expected]);
  });

  it('without a name and no archive, with an unsafe name, or with the name of another is refused', async () => {
    expect(await codeOf(() => layers(layer('application/octet-stream')))).toBe('ARTIFACT_LAYER_UNKNOWN');
    expect(await codeOf(() => layers(fileLayer('../a', 'x')))).toBe('ARTIFACT_FILE_REFUSED');
    expect(await codeOf(() => layers(fileLayer('a', 'x'), fileLayer('./a', 'y')))).toBe(
      'ARTIFACT_FILE_REFUSED',
    );
  });
});

describe('a manifest', () => {
  const { manifest } = artifactOf([fileLayer('a', 'x'), fileLayer('b', 'y')]);
  const changed = (fields: Record<string, unknown>) =>
    Buffer.from(JSON.stringify({ ...(JSON.parse(String(manifest)) as object), ...fields }));

  it('keeps one thing that is wrong with it', () => {
    expect(() => parse(changed({ layers: [1, 2, 3] }))).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ issues: [expect.anything()] }) }),
    );
  });

  it.each<[string, string, Uint8Array]>([
    ['not JSON', 'ARTIFACT_MANIFEST_INVALID', Buffer.from('x')],
    ['null', 'ARTIFACT_MANIFEST_INVALID', Buffer.from('null')],
    ['of another schema', 'ARTIFACT_MANIFEST_INVALID', changed({ schemaVersion: 1 })],
    [
      'with a size below zero',
      'ARTIFACT_MANIFEST_INVALID',
      changed({ config: { mediaType: 'x', digest: 'x', size: -1 } }),
    ],
    ['an index by type', 'ARTIFACT_INDEX', changed({ mediaType: 'application/vnd.oci.image.index.v1+json' })],
    ['an index by content', 'ARTIFACT_INDEX', Buffer.from('{"schemaVersion":2,"manifests":[]}')],
  ])('%s is refused', async (_, code, bytes) => {
    expect(await codeOf(() => parse(bytes))).toBe(code);
  });

  it('over a limit is refused', async () => {
    expect(await codeOf(() => parse(manifest, { maxLayers: 1 }))).toBe('ARTIFACT_TOO_LARGE');
    expect(await codeOf(() => parse(manifest, { maxBytes: 3 }))).toBe('ARTIFACT_TOO_LARGE');
    expect(await codeOf(() => parse(manifest, { maxBytes: 4 }))).toBe('none');
  });
});
