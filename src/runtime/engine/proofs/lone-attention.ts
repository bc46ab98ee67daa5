import { type AttentionNode, ownAttention } from '../onnx/attention-operator.ts';
import type { Node } from '../onnx/graph.ts';
import { valueInfoMessage, withDomain } from '../onnx/messages.ts';
import {
  elementType,
  graphField,
  microsoftDomain,
  modelField,
  operatorDomain,
  opsetField,
} from '../onnx/schema.ts';
import { contentField, integerField } from '../onnx/wire.ts';
import { NativeMemory, PointerTable, StringTable } from '../ort/memory.ts';
import type { Operator } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import { OnnxSession } from '../ort/session.ts';
import { elementsOf, OrtTensor } from '../ort/tensor.ts';

/** Tokens that there is room for. */
export const room = 160;

/** Fills with numbers from -scale to scale, the same for the same `salt`. */
const fill = (into: Float32Array, salt: number, scale: number): void => {
  for (const at of into.keys()) {
    const bits = Math.imul(at + 1, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca6b);
    const mixed = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d);
    into[at] = scale * (((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 31 - 1);
  }
};

/** One after the other. */
export const joined = (parts: readonly Float32Array[]): Float32Array => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** New tokens of one step: of each row as many, behind those that it has. */
type Step = { readonly before: readonly number[]; readonly tokens: number };

/** Types of inputs that are not float32, by place. */
const inputTypes: Readonly<Record<number, number>> = {
  5: elementType.int32,
  6: elementType.int32,
  9: elementType.int64,
};

const info = (field: number, name: string, type: number): Buffer =>
  contentField(field, valueInfoMessage(name, type));

const opset = (domain: string, version: number): Buffer =>
  contentField(
    modelField.opsetImport,
    Buffer.concat([contentField(opsetField.domain, domain), integerField(opsetField.version, version)]),
  );

/** A model of this node, given as the operator of a domain. */
const modelOf = (node: Node, domain: string, as: Buffer): Buffer => {
  const graph = Buffer.concat([
    contentField(graphField.node, as),
    contentField(graphField.name, 'attention'),
    ...node.inputs.flatMap((name, at) =>
      name === '' ? [] : [info(graphField.input, name, inputTypes[at] ?? elementType.float)],
    ),
    ...node.outputs.map((name) => info(graphField.output, name, elementType.float)),
  ]);
  const version = integerField(modelField.irVersion, 8);
  return Buffer.concat([version, opset('', 17), opset(domain, 1), contentField(modelField.graph, graph)]);
};

/** A graph of one attention, fed random queries, keys and values, the same for the same token of the same row. */
export class LoneAttention {
  readonly #session: OnnxSession;
  readonly #names: StringTable;
  readonly #outputNames: StringTable;
  readonly #places: readonly number[];
  readonly #sizes: Omit<AttentionNode, 'node'>;
  /** Keys and values of two rows. */
  readonly #keys: NativeMemory;
  readonly #values: NativeMemory;
  readonly #packed: boolean;

  private constructor(session: OnnxSession, { node, ...sizes }: AttentionNode) {
    this.#session = session;
    this.#places = [...node.inputs.keys()].filter((at) => node.inputs[at] !== '');
    this.#names = new StringTable(this.#places.map((at) => node.inputs[at] ?? ''));
    this.#outputNames = new StringTable(node.outputs);
    this.#sizes = sizes;
    this.#packed = (node.inputs[1] ?? '') === '';
    this.#keys = new NativeMemory(2 * this.#rowBytes);
    this.#values = new NativeMemory(2 * this.#rowBytes);
    this.clear();
  }

  /** By the native operator, or else by ONNX Runtime's. */
  static async open(of: AttentionNode, threads: number, operator?: Operator): Promise<LoneAttention> {
    const model =
      operator === undefined
        ? modelOf(of.node, microsoftDomain, withDomain(of.node, microsoftDomain))
        : modelOf(of.node, operatorDomain, ownAttention(of.node, threads));
    const options = { threads, optimise: 'none', spin: false, provider: cpuProvider, operator } as const;
    return new LoneAttention(await OnnxSession.open(model, options), of);
  }

  get #rowBytes(): number {
    const { kvHeads, size } = this.#sizes;
    return kvHeads * room * size * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Keys and values of a row that were never written are no numbers. */
  clear(): void {
    for (const memory of [this.#keys, this.#values]) new Float32Array(memory.buffer).fill(Number.NaN);
  }

  /** What is written of the keys and values of a row of so many tokens. */
  kept(row: number, tokens: number): Float32Array {
    const { kvHeads, size } = this.#sizes;
    const parts = [this.#keys, this.#values].flatMap((memory) =>
      Array.from(
        { length: kvHeads },
        (_, head) =>
          new Float32Array(memory.buffer, row * this.#rowBytes + head * room * size * 4, tokens * size),
      ),
    );
    return joined(parts);
  }

  /** The sums of a step of rows from `first` on. */
  async step({ before, tokens }: Step, first = 0): Promise<Float32Array> {
    const { heads, kvHeads, size, pairs } = this.#sizes;
    const rows = before.length;
    const memories: NativeMemory[] = [];
    const tensors: OrtTensor[] = [];
    const given = (
      type: 'float32' | 'int32' | 'int64',
      shape: readonly number[],
      values: Float32Array | Int32Array | BigInt64Array,
    ): OrtTensor => {
      const memory = new NativeMemory(values.byteLength);
      new Uint8Array(memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      memories.push(memory);
      return new OrtTensor(type, shape, memory.address);
    };
    /** Of each new token so many numbers. */
    const ofTokens = (width: number, salt: number, scale: number): OrtTensor => {
      const all = new Float32Array(rows * tokens * width);
      for (const [row, past] of before.entries()) {
        for (let at = 0; at < tokens; at += 1) {
          const start = (row * tokens + at) * width;
          fill(all.subarray(start, start + width), salt + 1000 * (first + row) + 7 * (past + at), scale);
        }
      }
      return given('float32', [rows, tokens, width], all);
    };
    const angles = (turn: (angle: number) => number): OrtTensor =>
      given(
        'float32',
        [room, pairs],
        Float32Array.from({ length: room * pairs }, (_, at) =>
          turn(Math.floor(at / pairs) / 50 ** ((at % pairs) / pairs)),
        ),
      );
    const cache = (memory: NativeMemory): OrtTensor =>
      new OrtTensor('float32', [rows, kvHeads, room, size], memory.address + BigInt(first * this.#rowBytes));
    const lengths = before.map((past) => past + tokens);
    const keys = cache(this.#keys);
    const values = cache(this.#values);
    const inputs: readonly (() => OrtTensor)[] = [
      () => ofTokens(this.#packed ? (heads + 2 * kvHeads) * size : heads * size, 1, 4),
      () => ofTokens(kvHeads * size, 2, 1),
      () => ofTokens(kvHeads * size, 3, 1),
      () => keys,
      () => values,
      () =>
        given(
          'int32',
          [rows],
          Int32Array.from(lengths, (length) => length - 1),
        ),
      () => given('int32', [1], Int32Array.of(Math.max(...lengths))),
      () => angles(Math.cos),
      () => angles(Math.sin),
      () =>
        given(
          'int64',
          [rows, tokens],
          BigInt64Array.from(
            before.flatMap((past) => Array.from({ length: tokens }, (_, at) => BigInt(past + at))),
          ),
        ),
      () => given('float32', [], new Float32Array()),
      () => {
        const sinks = new Float32Array(heads);
        fill(sinks, 9, 1);
        return given('float32', [heads], sinks);
      },
    ];
    for (const at of this.#places) tensors.push(inputs[at]?.() ?? keys);
    const shape = [rows, tokens, heads * size];
    const sums = given('float32', shape, new Float32Array(elementsOf(shape)));
    const table = new PointerTable(tensors.map(({ value }) => value));
    const made = new PointerTable([sums, keys, values].map(({ value }) => value));
    try {
      await this.#session.run(
        { names: this.#names, values: table },
        { names: this.#outputNames, values: made },
      );
      return new Float32Array(memories.at(-1)?.buffer ?? new ArrayBuffer()).slice();
    } finally {
      table.free();
      made.free();
      for (const tensor of new Set([...tensors, sums, keys, values])) tensor.release();
      for (const memory of memories) memory.free();
    }
  }

  release(): void {
    this.#session.release();
    this.#names.free();
    this.#outputNames.free();
    this.#keys.free();
    this.#values.free();
  }
}
