import { windowOf } from './attention-windows.ts';
import { constantOf, integersOf, producersOf } from './constants.ts';
import { type Graph, integerAttribute, type Node } from './graph.ts';
import { type PositionTables, tableRowsInput } from './position-tables.ts';

/**
 * What a value says of lengths. `mask`: the attention mask; `rows`: tokens of each row; `widest`: tokens of the longest row of a
 * step, or room of a cache; `step`: rows and tokens of a step; `positions`: of each token; `scaled`: a multiple or a part of one
 * of these.
 */
type Kind = 'mask' | 'rows' | 'widest' | 'step' | 'positions' | 'scaled';

const said: Readonly<Record<Kind, string>> = {
  mask: 'the attention mask',
  rows: 'the lengths of rows',
  widest: 'the length of the longest row of a step',
  step: 'the number of tokens of a step',
  positions: 'positions',
  scaled: 'a multiple of a length',
};

/** What a decoder graph does with the lengths of its sequences, as far as following them shows. */
export type LengthUse = {
  /**
   * Where lengths go that only attention should see: there the answer of a row can depend on the length of another one. A
   * sentence each.
   */
  readonly mixed: readonly string[];
  /** Choices of which it is not known at what lengths they change. A sentence each. */
  readonly chosen: readonly string[];
  /** Numbers that lengths are compared with: an answer above one can be made in another way than one below it. Ascending. */
  readonly borders: readonly number[];
  /** Tokens that attention looks back at most, where it has a window. Ascending. */
  readonly windows: readonly number[];
  /** Rows of the shortest table of positions. */
  readonly positions: number | undefined;
};

const inputKinds: Readonly<Record<string, Kind>> = {
  attention_mask: 'mask',
  position_ids: 'positions',
  [tableRowsInput]: 'positions',
};
const attention = 'GroupQueryAttention';
/** Inputs of it that are lengths: of rows, of the longest one, of each token. */
const attentionPlaces = new Map<number, Kind>([
  [5, 'rows'],
  [6, 'widest'],
  [9, 'positions'],
]);
const operators = (names: string): ReadonlySet<string> => new Set(names.split(' '));

/** What gives lengths when it is given lengths and constants. */
const arithmetic = operators('Add Cast Concat Gather Identity Reshape Slice Squeeze Sub Unsqueeze');
/** Operators whose second input is the shape of their output. */
const shaping = new Set(['Expand', 'Reshape']);
const subgraphs = new Set(['If', 'Loop', 'Scan']);
const comparisons = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual']);
/** What follows is numbers of the model, not lengths. */
const endsLengths = operators(
  'GroupQueryAttention Attention Gemm LayerNormalization MatMul MatMulNBits ' +
    'MultiHeadAttention RotaryEmbedding Shape SimplifiedLayerNormalization Size Softmax',
);
/** Where a number beside a length is no border: shapes, axes, indices. */
const noBorder = operators(
  'Concat ConstantOfShape Div Expand Gather GatherElements GatherND Mul Pad Reshape ' +
    'ReduceSum ScatterND Slice Split Squeeze Tile Transpose Trilu Unsqueeze',
);

class Following {
  readonly mixed: string[] = [];
  readonly chosen: string[] = [];
  readonly borders = new Set<number>();
  readonly #graph: Graph;
  readonly #producers: ReadonlyMap<string, Node>;
  readonly #kinds = new Map<string, Kind>(Object.entries(inputKinds));

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#producers = producersOf(graph);
  }

  follow(): void {
    for (const node of this.#graph.nodes) {
      const kind = this.#kindOf(node);
      if (kind === undefined) continue;
      for (const output of node.outputs) this.#kinds.set(output, kind);
    }
  }

  #integers(value: string): readonly number[] | undefined {
    const constant = constantOf(this.#graph, this.#producers, value);
    return constant && integersOf(constant);
  }

  #isConstant(value: string): boolean {
    return value === '' || constantOf(this.#graph, this.#producers, value) !== undefined;
  }

  /** What a node's outputs say of lengths. */
  #kindOf(node: Node): Kind | undefined {
    const given = node.inputs.map((input) => this.#kinds.get(input));
    if (node.opType === 'Shape' || node.opType === 'Size') return this.#shapeKind(node.inputs[0] ?? '');
    if (subgraphs.has(node.opType)) {
      if (!this.#isKnownChoice(node)) this.chosen.push(`${node.opType} ${node.name}`);
      return undefined;
    }
    const [kind] = given.filter((each) => each !== undefined);
    if (kind === undefined) return undefined;
    this.#noteBorders(node, given.includes('scaled'));
    if (node.opType === 'Mul' || node.opType === 'Div') return 'scaled';
    const result = this.#asExpected(node, given);
    if (result !== false) return result;
    this.mixed.push(`${node.opType} ${node.name} takes ${said[kind]}`);
    return endsLengths.has(node.opType) ? undefined : kind;
  }

  /** An If by a comparison of a length with a number: its border is known. */
  #isKnownChoice({ opType, inputs }: Node): boolean {
    const condition = this.#producers.get(inputs[0] ?? '');
    return (
      opType === 'If' &&
      condition !== undefined &&
      comparisons.has(condition.opType) &&
      condition.inputs.some((input) => this.#kinds.has(input)) &&
      condition.inputs.some((input) => this.#integers(input) !== undefined)
    );
  }

  #shapeKind(value: string): Kind | undefined {
    if (this.#kinds.get(value) === 'mask' || value.startsWith('past_key_values.')) return 'widest';
    return this.#isConstant(value) ? undefined : 'step';
  }

  /** What a node gives that uses lengths as rows that know nothing of each other do; false for any other. */
  #asExpected(node: Node, given: readonly (Kind | undefined)[]): Kind | undefined | false {
    const { opType, inputs } = node;
    if (opType === attention) {
      return given.every((kind, at) => kind === attentionPlaces.get(at) || inputs[at] === '') && undefined;
    }
    if (opType === 'ReduceSum' && given[0] === 'mask') {
      const axes =
        inputs[1] === undefined ? integerAttribute(node, 'axes') : this.#integers(inputs[1])?.join();
      return ['1', '-1'].includes(String(axes)) && 'rows';
    }
    if (opType === 'RotaryEmbedding')
      return given.every((kind, at) => kind === (at === 1 ? 'positions' : undefined)) && undefined;
    const [first, second] = given;
    // A row of a table for each token.
    if (opType === 'Gather' && second === 'positions' && this.#isConstant(inputs[0] ?? '')) return undefined;
    if (shaping.has(opType) && first === undefined && second === 'step') return undefined;
    if (!arithmetic.has(opType) || first === 'mask') return false;
    const kinds = new Set(given.filter((kind) => kind !== undefined));
    const [kind] = kinds;
    const rest = inputs.every((input, at) => given[at] !== undefined || this.#isConstant(input));
    return kinds.size === 1 && rest && kind;
  }

  #noteBorders(node: Node, scaled: boolean): void {
    if (noBorder.has(node.opType)) return;
    for (const input of node.inputs) {
      // One token more or less is how lengths become positions; the largest numbers stand for the end.
      for (const value of this.#integers(input) ?? []) {
        const border = Math.abs(value);
        if (border <= 1 || border >= 2 ** 31 - 1) continue;
        this.borders.add(border);
        if (scaled) this.chosen.push(`${node.opType} ${node.name} by ${said.scaled}`);
      }
    }
  }
}

const ascending = (numbers: Iterable<number>): readonly number[] =>
  [...new Set(numbers)].sort((a, b) => a - b);

/** Rows of the tables that operators look positions up in. */
const tableRows = ({ nodes, initializers }: Graph): readonly number[] =>
  nodes.flatMap((node) => {
    const place = node.opType === attention ? 7 : node.opType === 'RotaryEmbedding' ? 2 : undefined;
    const rows = place === undefined ? undefined : initializers.get(node.inputs[place] ?? '')?.dims[0];
    return rows ?? [];
  });

/**
 * Follows through a decoder graph what depends on lengths: those of other rows of a step, and of the step itself. `tables`: its
 * own, where they were joined.
 * @throws MODEL_INVALID
 */
export const lengthUseOf = (graph: Graph, tables?: PositionTables): LengthUse => {
  const following = new Following(graph);
  following.follow();
  const windows = graph.nodes.flatMap((node) => windowOf(node) ?? []);
  // Of joined tables, no sequence has all rows.
  const rows = tables === undefined ? tableRows(graph) : [tables.rows];
  return {
    mixed: following.mixed,
    chosen: following.chosen,
    borders: ascending(following.borders),
    windows: ascending(windows),
    positions: rows.length === 0 ? undefined : Math.min(...rows),
  };
};
