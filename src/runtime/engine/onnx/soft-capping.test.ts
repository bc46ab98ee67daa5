import { describe, expect, it } from 'vitest';
import { handMade } from './graph.fixture.ts';
import { readGraph } from './graph.ts';
import type { NewNode } from './messages.ts';
import { attributeField, nodeField } from './schema.ts';
import { checkSoftCapping } from './soft-capping.ts';
import { contentField } from './wire.ts';

const node = (opType: string, inputs: readonly string[], output: string): NewNode => ({
  opType,
  name: `the ${opType}`,
  inputs,
  outputs: [output],
});
const graphOf = (...nodes: readonly NewNode[]) => readGraph(handMade({ nodes }));

/** An attention with a float attribute of this value, or without. */
const grouped = (softcap?: number) => {
  const graph = graphOf(node('GroupQueryAttention', ['q'], 'y'));
  const [attention] = graph.nodes;
  if (softcap === undefined || attention === undefined) return graph;
  const value = Buffer.alloc(5, attributeField.float * 8 + 5);
  value.writeFloatLE(softcap, 1);
  const attribute = Buffer.concat([contentField(attributeField.name, 'softcap'), value]);
  const bytes = Buffer.concat([attention.bytes, contentField(nodeField.attribute, attribute)]);
  return { ...graph, nodes: [{ ...attention, bytes }] };
};

const product = node('MatMul', ['q', 'k'], 'scores');
const shares = node('Softmax', ['masked'], 'shares');

describe('soft-capping of attention', () => {
  it('is there as an attribute', () => {
    expect(() => checkSoftCapping(grouped(50))).not.toThrow();
  });

  it('is there as a Tanh between product and shares', () => {
    const capped = [
      product,
      node('Div', ['scores', 'cap'], 'small'),
      node('Tanh', ['small'], 'bent'),
      node('Mul', ['bent', 'cap'], 'back'),
      node('Add', ['back', 'mask'], 'masked'),
      shares,
    ];
    expect(() => checkSoftCapping(graphOf(...capped))).not.toThrow();
  });

  it.each([
    ['an attribute of 0', grouped(0), 'GroupQueryAttention'],
    ['no attribute', grouped(), 'GroupQueryAttention'],
    [
      'a Tanh elsewhere, as of an activation',
      graphOf(
        node('Tanh', ['up'], 'q'),
        product,
        node('Add', ['scores', 'mask'], 'masked'),
        shares,
        node('Tanh', ['shares'], 'more'),
      ),
      'Softmax',
    ],
  ])('is missed where there is %s', (_, graph, name) => {
    expect(() => checkSoftCapping(graph)).toThrow(
      expect.objectContaining({
        code: 'MODEL_UNSUPPORTED',
        message: expect.stringContaining(`Node the ${name} has no soft-capping`),
      }),
    );
  });
});
