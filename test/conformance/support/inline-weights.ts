import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { externalWeights } from '../../../src/runtime/engine/onnx/external-weights.ts';
import { readGraph, readInitializer } from '../../../src/runtime/engine/onnx/graph.ts';
import { graphField, modelField, tensorField } from '../../../src/runtime/engine/onnx/schema.ts';
import { contentField, contentOf, readFields } from '../../../src/runtime/engine/onnx/wire.ts';

const mapped = (message: Buffer, number: number, change: (content: Buffer) => Buffer): Buffer =>
  Buffer.concat(
    readFields(message).map((field) =>
      field.number === number
        ? contentField(number, change(contentOf(message, field)))
        : message.subarray(field.start, field.end),
    ),
  );

/** The graph of a model in a folder, with its weights in itself, as exporters write small models. */
export const withInlineWeights = (folder: string): Buffer => {
  const model = readFileSync(join(folder, 'model.onnx'));
  const places = new Map(externalWeights(readGraph(model)).map((weight) => [weight.name, weight]));
  return mapped(model, modelField.graph, (graph) =>
    mapped(graph, graphField.initializer, (tensor) => {
      const place = places.get(readInitializer(tensor).name)?.place;
      if (place === undefined) return tensor;
      const { location, offset, length = 0 } = place;
      const values = readFileSync(join(folder, location)).subarray(offset, offset + length);
      const kept = readFields(tensor).filter(
        ({ number }) => number !== tensorField.externalData && number !== tensorField.dataLocation,
      );
      return Buffer.concat([
        ...kept.map(({ start, end }) => tensor.subarray(start, end)),
        contentField(tensorField.rawData, values),
      ]);
    }),
  );
};
