import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tinyFolder } from '../../adapter/peft-folder.fixture.ts';
import { withExactActivations } from './exact-activations.ts';
import { integerAttribute, readGraph } from './graph.ts';

const tiny = (precision: string): Buffer =>
  readFileSync(join(tinyFolder, `model/onnx-${precision}/model.onnx`));
const levels = (model: Buffer) =>
  readGraph(model)
    .nodes.filter(({ opType }) => opType === 'MatMulNBits')
    .map((node) => [integerAttribute(node, 'accuracy_level'), integerAttribute(node, 'bits')]);

describe('exact activations', () => {
  it('take the level from each quantised linear, and nothing else from the graph', () => {
    const model = tiny('int4');
    const before = levels(model);
    expect(before.length).toBeGreaterThan(10);
    expect(before.every(([level]) => level === 4)).toBe(true);
    const exact = withExactActivations(model);
    expect(levels(exact)).toEqual(before.map(([, bits]) => [undefined, bits]));
    const names = (graph: Buffer) =>
      readGraph(graph).nodes.map(({ name, inputs, outputs }) => ({ name, inputs, outputs }));
    expect(names(exact)).toEqual(names(model));
  });

  it('leave a graph without quantised linears as it is', () => {
    const model = tiny('fp32');
    expect(withExactActivations(model)).toBe(model);
  });
});
