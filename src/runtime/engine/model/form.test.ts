import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { changedGraph, withOperator } from '../../../../test/support/changed-graph.ts';
import { fixtureGraph } from '../../../../test/support/fixture-models.ts';
import { tinyModel, tinyModelFolder } from '../onnx/graph.fixture.ts';
import { applyEdit, type Graph, readGraph, tensorsOf } from '../onnx/graph.ts';
import { valueInfoMessage } from '../onnx/messages.ts';
import { elementType } from '../onnx/schema.ts';
import { refuseForeignDecoder, refuseForeignForm, servedForm } from './form.ts';

const hub = {
  file: 'onnx/model_x.onnx',
  others: ['onnx/model.onnx', 'onnx/model_q4.onnx', 'onnx/model_q4f16.onnx'],
};
const alone = { file: 'model_x.onnx', others: [] };

const changed = (
  edit: Partial<Parameters<typeof applyEdit>[1]>,
  graph: Graph = readGraph(tinyModel('fp32')),
): Graph =>
  readGraph(
    applyEdit(graph, {
      nodes: new Map(),
      newInputs: [],
      staleShapes: new Set(),
      outputs: new Map(),
      ...edit,
    }),
  );
const withInput = (name: string, type: number): Graph =>
  changed({ newInputs: [valueInfoMessage(name, type, ['batch', 2, 'past', 16])] });

describe('a graph in the form of another runtime', () => {
  it('is none that the builder or optimum write', () => {
    for (const name of ['builder-llama', 'builder-llama-int4', 'optimum-llama']) {
      expect(() => refuseForeignDecoder(readGraph(fixtureGraph(name)), hub)).not.toThrow();
    }
    expect(() => refuseForeignForm(readGraph(fixtureGraph('bert-model')), alone)).not.toThrow();
  });

  it.each(['MatMulInteger', 'MatMulBnb4'])('with linears as %s is refused, of encoders too', (opType) => {
    const graph = readGraph(
      changedGraph(tinyModel('fp32'), (node) =>
        node.opType === 'MatMul' ? [withOperator(node, opType)] : undefined,
      ),
    );
    for (const refuse of [refuseForeignForm, refuseForeignDecoder]) {
      expect(() => refuse(graph, hub)).toThrow(
        expect.objectContaining({
          what: `model_x.onnx has its linears as ${opType}, to which no adapter can be added`,
          advice: 'Take onnx/model_q4.onnx: --model-file onnx/model_q4.onnx.',
        }),
      );
      expect(() => refuse(graph, alone)).toThrow(/4-bit, float16 or float32 weights.*bring-your-base-model/);
    }
  });

  it('of 16 bits is served in float32, which is said with what it takes', () => {
    const exported = readGraph(
      readFileSync(join(tinyModelFolder('fp32'), '../../../hub/onnx/model_q4f16.onnx')),
    );
    const said: string[] = [];
    const graph = servedForm(exported, hub, (message) => said.push(message));
    expect(tensorsOf(graph, 'outputs').every(({ code }) => code === elementType.float)).toBe(true);
    expect(said).toEqual([
      expect.stringMatching(/^model_x\.onnx is in float16 or bfloat16, and served in float32: .* 0 MiB more/),
    ]);
    expect(servedForm(graph, hub, (message) => said.push(message))).toBe(graph);
    expect(said).toHaveLength(1);
  });

  it('that is two graphs in one is refused with how to export it', () => {
    expect(() => refuseForeignDecoder(withInput('use_cache_branch', 9), hub)).toThrow(
      /two graphs in one.*Export it as one graph/s,
    );
  });

  it('that has no inputs for keys and values is refused with how to export it', () => {
    expect(() => refuseForeignDecoder(readGraph(fixtureGraph('bert-model')), alone)).toThrow(
      /no inputs for keys and values.*Export it as one graph/s,
    );
  });
});
