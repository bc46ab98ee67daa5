import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { externalWeights } from '../onnx/external-weights.ts';
import { modelWith, rawTensor } from '../onnx/graph.fixture.ts';
import { readGraph } from '../onnx/graph.ts';
import { moveConstants } from './move-constants.ts';
import { preparedFiles } from './prepared-graph.ts';

const bytesOf = (length: number, seed: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7 + seed) % 251));

/** What lies in the file of a model. */
const shared = bytesOf(2_000, 1);
const setUp = () => {
  const model = folderOfTest();
  const folder = folderOfTest();
  writeFileSync(join(model, 'weights.bin'), Buffer.concat([Buffer.alloc(100), shared]));
  const entry = { location: 'weights.bin', offset: 100, length: shared.length };
  const exported = { model: readGraph(modelWith(rawTensor('w', entry))), path: join(model, 'model.onnx') };
  const said: string[] = [];
  const move = (...constants: Buffer[]) => {
    const graph = join(folder, preparedFiles.graph);
    writeFileSync(graph, modelWith(...constants.map((values, index) => rawTensor(`c${index}`, values))));
    moveConstants(folder, { exported, say: (what) => said.push(what) });
    return externalWeights(readGraph(readFileSync(graph))).map(({ name, place }) => ({ name, ...place }));
  };
  /** The same of constants that ONNX Runtime wrote beside the graph. */
  const moveBeside = (...constants: Buffer[]) => {
    const beside = join(folder, preparedFiles.beside);
    writeFileSync(beside, Buffer.concat([Buffer.alloc(10), ...constants]));
    let offset = 10;
    const places = constants.map(({ length }) => {
      offset += length;
      return { location: preparedFiles.beside, offset: offset - length, length };
    });
    const graph = join(folder, preparedFiles.graph);
    writeFileSync(
      graph,
      modelWith(...[...places, entry].map((place, index) => rawTensor(`c${index}`, place))),
    );
    moveConstants(folder, { exported, say: (what) => said.push(what) });
    expect(existsSync(beside)).toBe(false);
    return externalWeights(readGraph(readFileSync(graph))).map(({ name, place }) => ({ name, ...place }));
  };
  return { move, moveBeside, said, file: join(folder, preparedFiles.constants) };
};

describe('the constants of an optimised graph', () => {
  it('that a model has are read from its own files', () => {
    const { move, said, file } = setUp();
    expect(move(shared)).toEqual([{ name: 'c0', location: 'weights.bin', offset: 100, length: 2_000 }]);
    expect(existsSync(file)).toBe(false);
    expect(said).toEqual([]);
  });

  it('of the same length but other bytes are not', () => {
    const { move, said, file } = setUp();
    const [other, third] = [bytesOf(2_000, 2), bytesOf(1_500, 3)];
    expect(move(other, shared, third)).toEqual([
      { name: 'c0', location: 'model.onnx', offset: 0, length: 2_000 },
      { name: 'c1', location: 'weights.bin', offset: 100, length: 2_000 },
      { name: 'c2', location: 'model.onnx', offset: 2_048, length: 1_500 },
    ]);
    const written = readFileSync(file);
    expect(written.subarray(0, 2_000)).toEqual(other);
    expect(written.subarray(2_048)).toEqual(third);
    expect(said).toEqual(['writing 1 MiB of constants that its graph has, once']);
  });

  it('beside the graph are taken from there, each to where it is to be', () => {
    const { moveBeside, said, file } = setUp();
    // Their beginnings are those of the model's.
    const [other, third] = [Buffer.concat([shared.subarray(0, 1_999), Buffer.from([7])]), bytesOf(1_500, 3)];
    expect(moveBeside(other, shared, third)).toEqual([
      { name: 'c0', location: 'model.onnx', offset: 0, length: 2_000 },
      { name: 'c1', location: 'weights.bin', offset: 100, length: 2_000 },
      { name: 'c2', location: 'model.onnx', offset: 2_048, length: 1_500 },
      { name: 'c3', location: 'weights.bin', offset: 100, length: 2_000 },
    ]);
    const written = readFileSync(file);
    expect(written.subarray(0, 2_000)).toEqual(other);
    expect(written.subarray(2_048)).toEqual(third);
    expect(said).toEqual(['writing up to 1 MiB of constants that its graph has, once']);
  });
});
