import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  attributeField,
  functionField,
  graphField,
  modelField,
  nodeField,
  operatorDomain,
  opsetField,
} from './schema.ts';
import { contentOf, readFields, textOf } from './wire.ts';

const partsOf = (message: Buffer, number: number): readonly Buffer[] =>
  readFields(message)
    .filter((field) => field.number === number)
    .map((field) => contentOf(message, field));

const isOurs = (message: Buffer, number: number): boolean =>
  readFields(message).some((field) => field.number === number && textOf(message, field) === operatorDomain);

const importsOurs = (message: Buffer, number: number): boolean =>
  partsOf(message, number).some((opset) => isOurs(opset, opsetField.domain));

const nodeHasOurs = (node: Buffer): boolean =>
  isOurs(node, nodeField.domain) ||
  partsOf(node, nodeField.attribute)
    .flatMap((attribute) => [
      ...partsOf(attribute, attributeField.graph),
      ...partsOf(attribute, attributeField.graphs),
    ])
    .some(graphHasOurs);

const graphHasOurs = (graph: Buffer): boolean => partsOf(graph, graphField.node).some(nodeHasOurs);

const functionHasOurs = (one: Buffer): boolean =>
  isOurs(one, functionField.domain) ||
  importsOurs(one, functionField.opsetImport) ||
  partsOf(one, functionField.node).some(nodeHasOurs);

/**
 * Refuses a model that has operators of the native library itself: they follow addresses that this program gives them, and would
 * follow a number of the model's.
 * @throws MODEL_INVALID
 */
export const refuseOwnDomain = (model: Buffer): void => {
  const has =
    importsOurs(model, modelField.opsetImport) ||
    partsOf(model, modelField.graph).some(graphHasOurs) ||
    partsOf(model, modelField.functions).some(functionHasOurs);
  if (!has) return;
  throw new AdaptletError(
    'MODEL_INVALID',
    `The graph has operators of the domain ${operatorDomain}, which only this program puts into graphs`,
    { advice: 'Export the model anew, and do not use graphs of its cache as models.' },
  );
};
