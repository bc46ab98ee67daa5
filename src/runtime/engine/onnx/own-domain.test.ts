import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { readModelGraph } from '../model/folder.ts';
import { handMade, tinyModel } from './graph.fixture.ts';
import { nodeMessage } from './messages.ts';
import {
  attributeField,
  functionField,
  graphField,
  modelField,
  nodeField,
  operatorDomain,
  opsetField,
} from './schema.ts';
import { contentField } from './wire.ts';

const node = { opType: 'Lora', name: 'n', inputs: ['x', 'adapters'], outputs: ['y'] };
const ours = nodeMessage({ ...node, domain: operatorDomain });
const other = handMade({ nodes: [{ ...node, domain: 'adaptlet.other' }] });
const opset = contentField(opsetField.domain, operatorDomain);

/** A model with a node that has a branch, or several. */
const branching = (field: number): Buffer => {
  const branch = contentField(field, contentField(graphField.node, ours));
  const outer = Buffer.concat([
    nodeMessage({ ...node, opType: 'If' }),
    contentField(nodeField.attribute, branch),
  ]);
  return contentField(modelField.graph, contentField(graphField.node, outer));
};
const withFunction = (...content: Buffer[]): Buffer =>
  Buffer.concat([other, contentField(modelField.functions, Buffer.concat(content))]);

const read = (model: Buffer) => {
  const folder = folderOfTest();
  writeFileSync(join(folder, 'model.onnx'), model);
  return readModelGraph(folder);
};

describe('a model with operators of the native library', () => {
  it.each([
    ['in its graph', handMade({ nodes: [{ ...node, domain: operatorDomain }] })],
    ['in a branch', branching(attributeField.graph)],
    ['in one of several branches', branching(attributeField.graphs)],
    ['in a function', withFunction(contentField(functionField.node, ours))],
    ['as a function of its own', withFunction(contentField(functionField.domain, operatorDomain))],
    ['as a domain of a function', withFunction(contentField(functionField.opsetImport, opset))],
    ['as a domain', Buffer.concat([other, contentField(modelField.opsetImport, opset)])],
  ])('is refused with them %s', (_, model) => {
    expect(() => read(model)).toThrow(
      expect.objectContaining({ code: 'MODEL_INVALID', advice: expect.stringContaining('Export') }),
    );
  });

  it('is read without them', () => {
    expect(read(other).nodes).toHaveLength(1);
    expect(read(tinyModel('int4')).nodes.length).toBeGreaterThan(1);
  });
});
