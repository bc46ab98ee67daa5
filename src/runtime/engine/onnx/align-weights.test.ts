import { describe, expect, it } from 'vitest';
import { alignWeights } from './align-weights.ts';
import { elementType, graphField, modelField, tensorField } from './schema.ts';
import { contentField, integerField } from './wire.ts';

const entry = (key: string, value: string): Buffer =>
  contentField(tensorField.externalData, Buffer.concat([contentField(1, key), contentField(2, value)]));

const tensor = (name: string, ...external: Buffer[]): Buffer =>
  contentField(
    graphField.initializer,
    Buffer.concat([
      integerField(tensorField.dataType, elementType.float),
      contentField(tensorField.name, name),
      ...external,
    ]),
  );

const model = (...tensors: Buffer[]): Buffer => contentField(modelField.graph, Buffer.concat(tensors));

describe('aligning the weights of an optimised graph', () => {
  it('gives every buffer, prepacked ones too, a place at a multiple of 64', () => {
    const before = model(
      tensor('a', entry('location', 'old'), entry('offset', '0'), entry('length', '100')),
      tensor(
        'b',
        entry('location', 'old'),
        entry('offset', '100'),
        entry('length', '10'),
        entry('prepacked_0', 'K+7|110;33;0|143;5;1'),
      ),
    );
    const after = alignWeights(before, 'new.bin');
    expect(after.moves).toEqual([
      { from: 0, to: 0, length: 100 },
      { from: 100, to: 128, length: 10 },
      { from: 110, to: 192, length: 33 },
      { from: 143, to: 256, length: 5 },
    ]);
    const text = after.model.toString('latin1');
    expect(text).toContain('K+7|192;33;0|256;5;1');
    expect(text).toContain('new.bin');
    expect(text).not.toContain('old');
  });

  it('leaves weights that are in the graph itself alone', () => {
    const before = model(tensor('inline'));
    expect(alignWeights(before, 'new.bin')).toEqual({ model: before, moves: [] });
  });

  it('refuses places that are not numbers', () => {
    const before = model(tensor('a', entry('location', 'old'), entry('offset', 'x'), entry('length', '1')));
    expect(() => alignWeights(before, 'new.bin')).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
  });
});
