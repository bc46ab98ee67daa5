import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { beforeCasts, turnedBytes } from './constants.ts';
import { type HandMadeGraph, handMade } from './graph.fixture.ts';
import { readGraph } from './graph.ts';
import { inFloat32 } from './in-float32.ts';
import { featuresOf } from './linear.ts';

const cast = (from: string, to: string) => ({ opType: 'Cast', name: to, inputs: [from], outputs: [to] });
const turn = (from: string, to: string) => ({ opType: 'Transpose', name: to, inputs: [from], outputs: [to] });
const graphOf = (graph: HandMadeGraph) => readGraph(handMade({ weights: { w: [3, 5] }, ...graph }));

describe('weights behind nodes', () => {
  it('are found through what changes their type', () => {
    const graph = graphOf({ nodes: [cast('w', 'a'), cast('a', 'b'), cast('x', 'c')] });
    expect(['w', 'a', 'b', 'c', 'd'].map((value) => beforeCasts(graph, value))).toEqual([
      'w',
      'w',
      'w',
      'x',
      'd',
    ]);
  });

  it('are no circle without an end', () => {
    const nodes = [cast('a', 'a'), { opType: 'MatMul', name: 'm', inputs: ['x', 'a'], outputs: ['y'] }];
    const graph = graphOf({ nodes });
    expect(beforeCasts(graph, 'a')).toBe('a');
    expect(featuresOf(graph, graph.nodes[1]!)).toBeUndefined();
  });

  it('count in float32 where a graph turns them over', () => {
    expect(
      turnedBytes(graphOf({ nodes: [cast('w', 'a'), turn('a', 'b'), turn('w', 'c'), turn('x', 'd')] })),
    ).toBe(2 * 4 * 15);
    const builder = '../../../../test/fixtures/exports/llama/half/model.onnx';
    // Its embedding is the head, turned over: 48 tokens of 32.
    expect(turnedBytes(inFloat32(readGraph(readFileSync(new URL(builder, import.meta.url)))))).toBe(
      4 * 48 * 32,
    );
  });
});
