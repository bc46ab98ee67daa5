import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { deltaType, fromAnnotation, packDelta, parseDeltaManifest, toAnnotation } from './delta-manifest.ts';
import { digestOf } from './digest.ts';
import { defaultLimits, parseManifest } from './manifest.ts';

const digest = (text: string) => digestOf(Buffer.from(text));
const files = [
  {
    digest: digest('delta'),
    size: 5,
    from: digest('from file'),
    to: digest('to file'),
    path: '/d',
    name: 'a.safetensors',
  },
];
const packed = packDelta(digest('from'), { digest: digest('to'), size: 700 }, files);
const told = JSON.parse(String(packed.manifest));

describe('the manifest of a delta', () => {
  it('says what it makes out of what, and is an artifact that registries take', () => {
    expect(parseDeltaManifest(packed.manifest, 'it')).toMatchObject({
      from: digest('from'),
      subject: digest('to'),
      layers: [{ digest: digest('delta'), size: 5, from: digest('from file'), to: digest('to file') }],
    });
    expect(parseManifest(packed.manifest, defaultLimits, 'it').layers).toHaveLength(1);
    expect(told).toMatchObject({ artifactType: deltaType, subject: { size: 700 } });
    expect([...packed.blobs.keys()]).toEqual([digest('{}'), digest('delta')]);
  });

  it('is read though a registry lost its type', () => {
    const bytes = Buffer.from(JSON.stringify({ ...told, artifactType: undefined }));
    expect(parseDeltaManifest(bytes, 'it').from).toBe(digest('from'));
  });

  const layer = told.layers[0];
  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['of another type', { ...told, config: { mediaType: 'x' } }],
    ['without a subject', { ...told, subject: undefined }],
    ['without a base', { ...told, annotations: {} }],
    ['with a base that is no digest', { ...told, annotations: { [fromAnnotation]: 'v1' } }],
    ['without layers', { ...told, layers: [] }],
    ['with layers that have no length', { ...told, layers: { length: { toString: null } } }],
    ['with layers of another type', { ...told, layers: [{ ...layer, mediaType: 'x' }] }],
    [
      'with a layer that says not what it makes',
      { ...told, layers: [{ ...layer, annotations: { [toAnnotation]: 'x' } }] },
    ],
    ['with a negative size', { ...told, layers: [{ ...layer, size: -1 }] }],
    ['with thousands of layers', { ...told, layers: Array(5000).fill(0) }],
  ])('that is %s is refused', async (_, value) => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    expect(await codeOf(() => parseDeltaManifest(bytes, 'it'))).toBe('DELTA_INVALID');
  });
});
