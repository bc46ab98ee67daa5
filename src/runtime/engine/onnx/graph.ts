import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  attributeField,
  dimensionField,
  entryField,
  graphField,
  microsoftDomain,
  modelField,
  nodeField,
  opsetField,
  shapeField,
  tensorField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from './schema.ts';
import {
  contentField,
  contentOf,
  type Field,
  floatOf,
  integerField,
  integerOf,
  integersIn,
  readFields,
  textOf,
} from './wire.ts';

export type Node = {
  /** The message, for copying. */
  readonly bytes: Buffer;
  readonly name: string;
  readonly opType: string;
  /** '' is ONNX's own. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
};

export type Initializer = {
  /** The message, for copying. */
  readonly bytes: Buffer;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** File with the values, relative to the graph; undefined when they are inline. */
  readonly location: string | undefined;
};

/** What the engine needs to know of an ONNX model; everything else stays bytes. */
export type Graph = {
  readonly model: Buffer;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Initializer>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
};

const readEntry = (entry: Buffer): { readonly key: string; readonly value: string } => {
  let key = '';
  let value = '';
  for (const field of readFields(entry)) {
    if (field.number === entryField.key) key = textOf(entry, field);
    else if (field.number === entryField.value) value = textOf(entry, field);
  }
  return { key, value };
};

/** A TensorProto. */
export const readInitializer = (tensor: Buffer): { readonly name: string } & Initializer => {
  let name = '';
  let dataType = 0;
  let location: string | undefined;
  const dims: number[] = [];
  for (const field of readFields(tensor)) {
    if (field.number === tensorField.name) name = textOf(tensor, field);
    else if (field.number === tensorField.dataType) dataType = integerOf(tensor, field);
    else if (field.number === tensorField.dims) for (const size of integersIn(tensor, field)) dims.push(size);
    else if (field.number === tensorField.externalData) {
      const entry = readEntry(contentOf(tensor, field));
      if (entry.key === 'location') location = entry.value;
    }
  }
  return { bytes: tensor, name, dims, dataType, location };
};

const readNode = (bytes: Buffer): Node => {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let name = '';
  let opType = '';
  let domain = '';
  for (const field of readFields(bytes)) {
    if (field.number === nodeField.input) inputs.push(textOf(bytes, field));
    else if (field.number === nodeField.output) outputs.push(textOf(bytes, field));
    else if (field.number === nodeField.name) name = textOf(bytes, field);
    else if (field.number === nodeField.opType) opType = textOf(bytes, field);
    else if (field.number === nodeField.domain) domain = textOf(bytes, field);
  }
  return { bytes, name, opType, domain, inputs, outputs };
};

/** Name of a ValueInfoProto. */
const nameOf = (valueInfo: Buffer): string => {
  const field = readFields(valueInfo).find((f) => f.number === valueInfoField.name);
  return field === undefined ? '' : textOf(valueInfo, field);
};

/** What nested messages of these fields hold, one in the other. */
const nested = (message: Buffer, path: readonly number[]): Buffer =>
  path.reduce((outer, number) => {
    const field = readFields(outer).find((f) => f.number === number);
    return field === undefined ? Buffer.alloc(0) : contentOf(outer, field);
  }, message);

const readDimension = (dimension: Buffer): number | string => {
  const [field] = readFields(dimension);
  if (field?.number === dimensionField.value) return integerOf(dimension, field);
  return field?.number === dimensionField.symbol ? textOf(dimension, field) : '';
};

const shapeOf = (valueInfo: Buffer): readonly (number | string)[] => {
  const shape = nested(valueInfo, [valueInfoField.type, typeField.tensor, tensorTypeField.shape]);
  return readFields(shape)
    .filter((field) => field.number === shapeField.dimension)
    .map((field) => readDimension(contentOf(shape, field)));
};

const typeCodeOf = (valueInfo: Buffer): number => {
  const tensor = nested(valueInfo, [valueInfoField.type, typeField.tensor]);
  const field = readFields(tensor).find((f) => f.number === tensorTypeField.elementType);
  return field === undefined ? 0 : integerOf(tensor, field);
};

/** A graph's input or output; `code` is TensorProto.DataType, 0 for what is no tensor. */
export type GraphTensor = {
  readonly name: string;
  readonly code: number;
  readonly shape: readonly (number | string)[];
};

/** What a graph takes, or gives. An initialiser that is listed as an input is none. */
export const tensorsOf = (graph: Graph, which: 'inputs' | 'outputs'): readonly GraphTensor[] => {
  const message = contentOf(graph.model, onlyGraph(graph.model, readFields(graph.model)));
  const number = which === 'inputs' ? graphField.input : graphField.output;
  return readFields(message)
    .filter((field) => field.number === number)
    .map((field) => contentOf(message, field))
    .map((info) => ({ name: nameOf(info), code: typeCodeOf(info), shape: shapeOf(info) }))
    .filter(({ name }) => !graph.initializers.has(name));
};

/** Sizes or symbols of the dimensions of a graph's input; undefined when the graph does not have it. */
export const inputShape = (graph: Graph, name: string): readonly (number | string)[] | undefined => {
  const message = contentOf(graph.model, onlyGraph(graph.model, readFields(graph.model)));
  const input = readFields(message)
    .filter((field) => field.number === graphField.input)
    .map((field) => contentOf(message, field))
    .find((info) => nameOf(info) === name);
  if (input === undefined) return undefined;
  return shapeOf(input);
};

/** An AttributeProto of a node, or undefined. */
export const attributeOf = (node: Node, name: string): Buffer | undefined => {
  for (const field of readFields(node.bytes)) {
    if (field.number !== nodeField.attribute) continue;
    const attribute = contentOf(node.bytes, field);
    const label = readFields(attribute).find((f) => f.number === attributeField.name);
    if (label !== undefined && textOf(attribute, label) === name) return attribute;
  }
  return undefined;
};

/** Value of an integer attribute of a node, or undefined. */
export const integerAttribute = (node: Node, name: string): number | undefined => {
  const attribute = attributeOf(node, name);
  if (attribute === undefined) return undefined;
  const value = readFields(attribute).find((f) => f.number === attributeField.integer);
  return value === undefined ? 0 : integerOf(attribute, value);
};

/** Value of a float attribute of a node, or undefined. */
export const floatAttribute = (node: Node, name: string): number | undefined => {
  const attribute = attributeOf(node, name);
  if (attribute === undefined) return undefined;
  const value = readFields(attribute).find((f) => f.number === attributeField.float);
  return value === undefined ? 0 : floatOf(attribute, value);
};

/** Value of an attribute that is a text, or undefined. */
export const textAttribute = (node: Node, name: string): string | undefined => {
  const attribute = attributeOf(node, name);
  if (attribute === undefined) return undefined;
  const value = readFields(attribute).find((f) => f.number === attributeField.text);
  return value === undefined ? '' : textOf(attribute, value);
};

const onlyGraph = (model: Buffer, fields: readonly Field[]): Field => {
  const graphs = fields.filter((field) => field.number === modelField.graph);
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) {
    throw new AdaptletError(
      'MODEL_INVALID',
      `The ONNX file holds ${graphs.length} graphs in ${model.length} bytes, not one`,
    );
  }
  return graph;
};

/** What a GraphProto holds: that of a model, or a branch of an If. */
export const readGraphMessage = (graph: Buffer): Omit<Graph, 'model'> => {
  const nodes: Node[] = [];
  const initializers = new Map<string, Initializer>();
  const inputs: string[] = [];
  const outputs: string[] = [];
  for (const field of readFields(graph)) {
    if (field.number === graphField.node) nodes.push(readNode(contentOf(graph, field)));
    else if (field.number === graphField.input) inputs.push(nameOf(contentOf(graph, field)));
    else if (field.number === graphField.output) outputs.push(nameOf(contentOf(graph, field)));
    else if (field.number === graphField.initializer) {
      const { name, ...initializer } = readInitializer(contentOf(graph, field));
      initializers.set(name, initializer);
    }
  }
  return { nodes, initializers, inputs, outputs };
};

/** Reads an ONNX model. Throws MODEL_INVALID for anything that is not one. */
export const readGraph = (model: Buffer): Graph => {
  const graph = readGraphMessage(contentOf(model, onlyGraph(model, readFields(model))));
  if (graph.nodes.length === 0) throw new AdaptletError('MODEL_INVALID', 'The ONNX graph has no nodes');
  return { model, ...graph };
};

/** Changes to a graph; what is not named here is copied byte for byte. */
export type GraphEdit = {
  /** Messages that take the place of a node. */
  readonly nodes: ReadonlyMap<Node, readonly Buffer[]>;
  /** ValueInfo messages of new required inputs. */
  readonly newInputs: readonly Buffer[];
  /** The same of new outputs. */
  readonly newOutputs?: readonly Buffer[];
  /** TensorProtos of new initialisers. */
  readonly newInitializers?: readonly Buffer[];
  /** Names of initialisers that nothing takes any more. */
  readonly goneInitializers?: ReadonlySet<string>;
  /** Values whose recorded type and shape no longer hold. */
  readonly staleShapes: ReadonlySet<string>;
  /** New ValueInfo messages of graph outputs, by name; and of inputs that it has. */
  readonly outputs: ReadonlyMap<string, Buffer>;
  readonly inputs?: ReadonlyMap<string, Buffer>;
  /** ValueInfo messages of values within the graph that it may lack, by name. */
  readonly shapes?: ReadonlyMap<string, Buffer>;
  /** Domains of new operators besides ONNX's own and ONNX Runtime's. */
  readonly domains?: readonly string[];
};

const editGraph = (graph: Buffer, nodes: readonly Node[], edit: GraphEdit): Buffer => {
  const parts: Buffer[] = [];
  const shapes = new Map(edit.shapes);
  let nodeIndex = 0;
  for (const field of readFields(graph)) {
    const original = graph.subarray(field.start, field.end);
    if (field.number === graphField.node) {
      const node = nodes[nodeIndex];
      nodeIndex += 1;
      const replacement = node === undefined ? undefined : edit.nodes.get(node);
      if (replacement === undefined) parts.push(original);
      else parts.push(...replacement.map((bytes) => contentField(graphField.node, bytes)));
    } else if (field.number === graphField.valueInfo) {
      const name = nameOf(contentOf(graph, field));
      if (edit.staleShapes.has(name)) continue;
      shapes.delete(name);
      parts.push(original);
    } else if (field.number === graphField.output) {
      const output = edit.outputs.get(nameOf(contentOf(graph, field)));
      parts.push(output === undefined ? original : contentField(graphField.output, output));
    } else if (field.number === graphField.input) {
      const input = edit.inputs?.get(nameOf(contentOf(graph, field)));
      parts.push(input === undefined ? original : contentField(graphField.input, input));
    } else if (field.number === graphField.initializer) {
      if (edit.goneInitializers?.has(readInitializer(contentOf(graph, field)).name) !== true)
        parts.push(original);
    } else parts.push(original);
  }
  parts.push(...[...shapes.values()].map((bytes) => contentField(graphField.valueInfo, bytes)));
  parts.push(...(edit.newInitializers ?? []).map((bytes) => contentField(graphField.initializer, bytes)));
  parts.push(...edit.newInputs.map((bytes) => contentField(graphField.input, bytes)));
  parts.push(...(edit.newOutputs ?? []).map((bytes) => contentField(graphField.output, bytes)));
  return Buffer.concat(parts);
};

const importsDomain = (model: Buffer, fields: readonly Field[], domain: string): boolean =>
  fields
    .filter((field) => field.number === modelField.opsetImport)
    .map((field) => contentOf(model, field))
    .some((opset) =>
      readFields(opset).some(
        (field) => field.number === opsetField.domain && textOf(opset, field) === domain,
      ),
    );

/** The model with the changes, and with ONNX Runtime's own operators imported. */
export const applyEdit = (graph: Graph, edit: GraphEdit): Buffer => {
  const { model } = graph;
  const fields = readFields(model);
  const parts = fields.map((field) =>
    field.number === modelField.graph
      ? contentField(modelField.graph, editGraph(contentOf(model, field), graph.nodes, edit))
      : model.subarray(field.start, field.end),
  );
  for (const domain of [microsoftDomain, ...(edit.domains ?? [])]) {
    if (importsDomain(model, fields, domain)) continue;
    const opset = Buffer.concat([
      contentField(opsetField.domain, domain),
      integerField(opsetField.version, 1),
    ]);
    parts.push(contentField(modelField.opsetImport, opset));
  }
  return Buffer.concat(parts);
};
