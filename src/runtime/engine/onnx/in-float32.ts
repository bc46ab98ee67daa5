import {
  type Graph,
  type Initializer,
  type Node,
  readGraph,
  readGraphMessage,
  readInitializer,
  tensorsOf,
} from './graph.ts';
import { floatsMessage, nodeMessage, renameOutput, withInput } from './messages.ts';
import {
  attributeField,
  elementType,
  functionField,
  graphField,
  modelField,
  nodeField,
  tensorField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from './schema.ts';
import {
  contentField,
  contentOf,
  type Field,
  integerField,
  integerOf,
  integersIn,
  mapContents,
  mapFields,
  readFields,
  textOf,
  wireType,
} from './wire.ts';

const halfBytes = 2;
const isHalf = (type: number): boolean => type === elementType.float16 || type === elementType.bfloat16;

/** Attributes that say in which type a node computes, or what it gives. */
const typeAttributes: ReadonlySet<string> = new Set([
  'dtype',
  'output_dtype',
  'softmax_precision',
  'stash_type',
  'to',
]);

/** Values of more bytes stay as they are stored, and a node widens them: the optimiser does that once. */
const mostBytes = 1 << 20;

/** The bits of a tensor that has its values itself: as bytes, or a number for each. */
const bitsOf = (tensor: Buffer): Uint16Array<ArrayBuffer> => {
  const bits: number[] = [];
  for (const field of readFields(tensor)) {
    if (field.number === tensorField.rawData) {
      const raw = contentOf(tensor, field);
      for (let at = 0; at + halfBytes <= raw.length; at += halfBytes) bits.push(raw.readUInt16LE(at));
    } else if (field.number === tensorField.int32Data) {
      for (const half of integersIn(tensor, field)) bits.push(half);
    }
  }
  return Uint16Array.from(bits);
};

/** The numbers that 16 bits mean; bfloat16 is the upper half of a float32. */
const valuesOf = (bits: Uint16Array<ArrayBuffer>, type: number): Float32Array =>
  type === elementType.float16
    ? Float32Array.from(new Float16Array(bits.buffer))
    : new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);

/** A TensorProto that has its values itself, in float32. */
const widenedTensor = (tensor: Buffer): Buffer => {
  const { name, dims, dataType } = readInitializer(tensor);
  return isHalf(dataType) ? floatsMessage(name, dims, valuesOf(bitsOf(tensor), dataType)) : tensor;
};

const isStored = ({ bytes, dataType, location }: Initializer): boolean =>
  isHalf(dataType) && (location !== undefined || bytes.length > mostBytes);

/** A type of 16 bits as float32, wherever a field of this number is one. */
const widenedType =
  (number: number) =>
  (message: Buffer): Buffer =>
    mapFields(message, (field) =>
      field.number === number && isHalf(integerOf(message, field))
        ? integerField(number, elementType.float)
        : undefined,
    );

const widenedInfo = (info: Buffer): Buffer =>
  mapContents(info, valueInfoField.type, (type) =>
    mapContents(type, typeField.tensor, widenedType(tensorTypeField.elementType)),
  );

const nameOf = (message: Buffer, number: number): string => {
  const field = readFields(message).find((each) => each.number === number);
  return field === undefined ? '' : textOf(message, field);
};

/** Rewrites the graphs and nodes of a model; `mark` ends no name in it. */
class Widening {
  readonly #mark: string;

  constructor(mark: string) {
    this.#mark = mark;
  }

  graph(graph: Buffer): Buffer {
    const read = readGraphMessage(graph);
    const { nodes, initializers } = read;
    const taken = new Set(takenBy(read));
    const stored = new Set([...initializers].flatMap(([name, each]) => (isStored(each) ? [name] : [])));
    // Nodes come after those whose values they take.
    const pending = [...stored]
      .filter((name) => taken.has(name))
      .map((name) => contentField(graphField.node, this.#castOf(name)));
    let at = 0;
    return mapFields(graph, (field) => {
      const content = field.wire === wireType.bytes ? contentOf(graph, field) : Buffer.alloc(0);
      switch (field.number) {
        case graphField.node: {
          const node = nodes[at];
          at += 1;
          const made = node === undefined ? [] : this.#node(node, stored);
          return Buffer.concat([
            ...pending.splice(0),
            ...made.map((bytes) => contentField(graphField.node, bytes)),
          ]);
        }
        case graphField.initializer:
          return contentField(graphField.initializer, this.#initializer(content, stored));
        case graphField.input:
          // Of old exporters, which list initialisers there as well.
          return stored.has(nameOf(content, valueInfoField.name))
            ? Buffer.alloc(0)
            : contentField(graphField.input, widenedInfo(content));
        case graphField.output:
        case graphField.valueInfo:
          return contentField(field.number, widenedInfo(content));
        default:
          return undefined;
      }
    });
  }

  /** A function of a model, which has no initialisers. */
  function(content: Buffer): Buffer {
    return mapContents(content, functionField.node, (node) => this.#attributes(node));
  }

  /** Messages in place of a node. Rows that are gathered are widened, not the table: it is the largest of a model. */
  #node(node: Node, stored: ReadonlySet<string>): readonly Buffer[] {
    const [table = ''] = node.inputs;
    if (node.opType !== 'Gather' || !stored.has(table)) return [this.#attributes(node.bytes)];
    const [output = ''] = node.outputs;
    const gather = renameOutput(node, `${output}${this.#mark}`);
    return [withInput({ ...node, bytes: gather }, 0, `${table}${this.#mark}`), this.#castOf(output)];
  }

  #attributes(node: Buffer): Buffer {
    return mapContents(node, nodeField.attribute, (attribute) => {
      const isType = typeAttributes.has(nameOf(attribute, attributeField.name));
      return mapFields(attribute, (field) => this.#attributeField(attribute, field, isType));
    });
  }

  #attributeField(attribute: Buffer, field: Field, isType: boolean): Buffer | undefined {
    switch (field.number) {
      case attributeField.integer:
        return isType && isHalf(integerOf(attribute, field))
          ? integerField(field.number, elementType.float)
          : undefined;
      case attributeField.tensor:
        return contentField(field.number, widenedTensor(contentOf(attribute, field)));
      case attributeField.graph:
      case attributeField.graphs:
        return contentField(field.number, this.graph(contentOf(attribute, field)));
      default:
        return undefined;
    }
  }

  #initializer(tensor: Buffer, stored: ReadonlySet<string>): Buffer {
    const { name } = readInitializer(tensor);
    if (!stored.has(name)) return widenedTensor(tensor);
    return mapFields(tensor, (field) =>
      field.number === tensorField.name ? contentField(tensorField.name, `${name}${this.#mark}`) : undefined,
    );
  }

  /** What makes a value in float32 of the one of its name and the mark. */
  #castOf(name: string): Buffer {
    return nodeMessage({
      opType: 'Cast',
      name: `${name}${this.#mark}`,
      inputs: [`${name}${this.#mark}`],
      outputs: [name],
      attributes: { to: elementType.float },
    });
  }
}

const branchesOf = ({ bytes }: Node): readonly Buffer[] =>
  readFields(bytes)
    .filter(({ number }) => number === nodeField.attribute)
    .map((field) => contentOf(bytes, field))
    .flatMap((attribute) =>
      readFields(attribute)
        .filter(({ number }) => number === attributeField.graph || number === attributeField.graphs)
        .map((field) => contentOf(attribute, field)),
    );

/** Values that a graph mentions, but for tables that rows are gathered of; within branches those as well. */
const takenBy = ({ nodes, outputs }: Pick<Graph, 'nodes' | 'outputs'>, within = false): readonly string[] => [
  ...outputs,
  ...nodes.flatMap((node) => [
    ...node.inputs.filter((_, at) => within || at > 0 || node.opType !== 'Gather'),
    ...branchesOf(node).flatMap((branch) => takenBy(readGraphMessage(branch), true)),
  ]),
];

/** True where a graph takes, gives or stores numbers of 16 bits. */
const hasHalves = (graph: Graph): boolean =>
  [...graph.initializers.values()].some(({ dataType }) => isHalf(dataType)) ||
  [...tensorsOf(graph, 'inputs'), ...tensorsOf(graph, 'outputs')].some(({ code }) => isHalf(code));

/** Ends no name in a graph, its branches included. */
const freeMark = (model: Buffer): string => {
  let mark = '.half';
  while (model.includes(mark)) mark = `${mark}_`;
  return mark;
};

/**
 * The graph in float32: exporters write graphs in float16 and bfloat16 for GPUs and browsers, and the engine has its keys and values,
 * its logits and what adapters add in float32. Weights that lie in files stay there as they are; nodes widen them, which the optimiser
 * does once, and rows of the vocabulary as they are gathered. A graph without numbers of 16 bits is left alone.
 * @throws MODEL_INVALID
 */
export const inFloat32 = (graph: Graph): Graph => {
  if (!hasHalves(graph)) return graph;
  const { model } = graph;
  const widening = new Widening(freeMark(model));
  const widened = mapFields(model, (field) => {
    if (field.number === modelField.graph)
      return contentField(field.number, widening.graph(contentOf(model, field)));
    if (field.number === modelField.functions)
      return contentField(field.number, widening.function(contentOf(model, field)));
    return undefined;
  });
  return readGraph(widened);
};

/** Bytes by which the weights of a graph that {@link inFloat32} made grow in memory: they are float32 there. */
export const growthOfHalves = ({ nodes, initializers }: Graph): number => {
  const widened = nodes.flatMap(({ opType, inputs: [input = ''] }) => (opType === 'Cast' ? [input] : []));
  return [...new Set(widened)].reduce((sum, name) => {
    const { dataType = 0, dims = [] } = initializers.get(name) ?? {};
    return isHalf(dataType) ? sum + halfBytes * dims.reduce((product, size) => product * size, 1) : sum;
  }, 0);
};
