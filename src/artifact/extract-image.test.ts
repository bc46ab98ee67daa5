import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { artifactErrors } from '../errors/artifact.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { tarOf } from './artifact.fixture.ts';
import { extractImage } from './extract-image.ts';

let root: string;
let target: string;
beforeEach(async () => {
  root = folderOfTest();
  target = join(root, 'target');
  await mkdir(target);
});

const config = { name: 'a/adapter_config.json', content: '{}' };

/** Layers from the lowest on; gives the names of the files that were written. */
const unpack = async (...layers: readonly Buffer[]): Promise<readonly string[]> => {
  const paths = layers.map((_, n) => join(root, `layer-${n}`));
  await rm(target, { recursive: true });
  await mkdir(target);
  for (const [n, bytes] of layers.entries()) await writeFile(paths[n] ?? '', bytes);
  await extractImage({
    layers: paths.map((archive) => ({ archive, compression: 'none' })),
    target,
    maxBytes: 100_000,
    roomBytes: 100_000,
    maxFiles: 5,
  });
  return (await readdir(target, { recursive: true })).sort();
};
const named = (...names: readonly string[]) => tarOf(names.map((name) => ({ name })));

describe('what a layer takes away of those below', () => {
  const below = tarOf([config, { name: 'a/x' }, { name: 'a/sub/y' }, { name: 'b/adapter_config.json' }]);
  it.each<[string, readonly string[]]>([
    ['b/.wh.adapter_config.json', ['adapter_config.json', 'sub', 'sub/y', 'x']],
    ['.wh.b', ['adapter_config.json', 'sub', 'sub/y', 'x']],
    ['b/.wh..wh..opq', ['adapter_config.json', 'sub', 'sub/y', 'x']],
    ['./.wh.a', ['adapter_config.json']],
  ])('%s', async (mark, files) => {
    expect(await unpack(below, named(mark))).toEqual(files);
  });

  it('is no file of the layer itself', async () => {
    const above = tarOf([{ name: 'a/.wh..wh..opq' }, config, { name: 'a/new' }]);
    expect(await unpack(below, named('.wh.b'), above)).toEqual(['adapter_config.json', 'new']);
  });

  it('is all of them, by a mark at the top', async () => {
    expect(await unpack(below, tarOf([config, { name: '.wh..wh..opq' }]))).toEqual(['adapter_config.json']);
  });
});

it('answers any damage with a code of the catalogue, and writes nothing outside', async () => {
  const good = [
    tarOf([config, { name: 'a/x', content: 'x' }, { name: 'bin/sh', type: '2' }]),
    named('.wh.b'),
  ];
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = good;
  const flip = fc.tuple(fc.nat(first.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 5 }), fc.boolean(), async (flips, isTop) => {
      const bytes = Buffer.from(first);
      for (const [at, value] of flips) bytes[at] = value;
      const layers = isTop ? [second, bytes] : [bytes, second];
      expect(['none', ...Object.keys(artifactErrors)]).toContain(await codeOf(() => unpack(...layers)));
      expect((await readdir(root)).filter((name) => !name.startsWith('layer-'))).toEqual(['target']);
    }),
    { numRuns: 150 },
  );
});
