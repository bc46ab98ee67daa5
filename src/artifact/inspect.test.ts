import { expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { artifactOf, fileLayer } from './artifact.fixture.ts';
import { inspectImage } from './inspect.ts';
import { parseReference } from './reference.ts';

const { manifest } = artifactOf([
  fileLayer('adapter_config.json', '{"r":4,"target_modules":[{"toString":null}]}'),
]);
const config = Buffer.from('{"r":4,"target_modules":[{"toString":null}]}');

const inspect = (bytes: Uint8Array) =>
  inspectImage(
    { manifest: async () => bytes, small: async () => config },
    parseReference('registry.example/a/b:c'),
    new AbortController().signal,
  );
const changed = (fields: object): Uint8Array =>
  Buffer.from(JSON.stringify({ ...(JSON.parse(String(manifest)) as object), ...fields }));

it('says what a manifest and a configuration say', async () => {
  const found = await inspect(changed({ artifactType: 'x', annotations: { a: 'b' } }));
  expect(found).toMatchObject({
    artifactType: 'x',
    annotations: { a: 'b' },
    adapter: { rank: 4, targets: [] },
  });
});

it('reads a manifest that begins with a byte order mark, as the rest of it is read', async () => {
  expect((await inspect(Buffer.concat([Buffer.from('\ufeff'), manifest]))).files).toHaveLength(1);
});

it.each<[string, object]>([
  ['annotations that are no texts', { annotations: { a: 1 } }],
  ['annotations that are a list', { annotations: [] }],
  ['a type that is no text', { artifactType: 7 }],
])('refuses %s with a code', async (_, fields) => {
  expect(await codeOf(() => inspect(changed(fields)))).toBe('ARTIFACT_MANIFEST_INVALID');
});
