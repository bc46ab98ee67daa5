import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
import type { OnnxSession } from '../ort/session.ts';
import { type TensorInfo } from '../ort/session.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { TensorRun } from '../ort/tensor-run.ts';
import { openGraph } from '../session/open-graph.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import type { NamedTensor, TensorSpec, TensorsInfo } from '../tasks.ts';

export type InferGraphOptions = RunOptions & { readonly weightsFolder: string };

const specOf = (info: TensorInfo, kind: string): TensorSpec => {
  const { name, type, shape } = info;
  if (type === undefined) {
    throw new AdaptletError('MODEL_UNSUPPORTED', `The ${kind} ${name} is no tensor of numbers`, {
      advice: 'Export the model with tensors of numbers only.',
    });
  }
  return { name, type, shape: shape.map((size) => (typeof size === 'number' ? size : -1)) };
};

/**
 * True when rows of several requests can be run together: every input and output has the same symbol as its first dimension.
 * Another symbol would be another number of rows.
 */
export const canBatch = (tensors: readonly Pick<TensorInfo, 'shape'>[]): boolean => {
  const [first] = tensors;
  const symbol = first?.shape[0];
  return typeof symbol === 'string' && symbol !== '' && tensors.every(({ shape }) => shape[0] === symbol);
};

/** A loaded graph of plain tensors. Assumes one run at a time. */
export class InferSession {
  readonly tensors: TensorsInfo;
  readonly #session: OnnxSession;
  readonly #run: TensorRun;

  private constructor(session: OnnxSession) {
    this.#session = session;
    this.tensors = {
      inputs: session.inputs.map((input) => specOf(input, 'input')),
      outputs: session.outputs.map((output) => specOf(output, 'output')),
      batching: canBatch([...session.inputs, ...session.outputs]),
    };
    this.#run = new TensorRun(
      session,
      this.tensors.inputs.map(({ name }) => name),
    );
  }

  /** @throws MODEL_INVALID, MODEL_UNSUPPORTED */
  static async open(graph: Buffer, options: InferGraphOptions): Promise<InferSession> {
    const session = await openGraph(graph, { ...options, optimised: false });
    try {
      return new InferSession(session);
    } catch (error) {
      session.release();
      throw error;
    }
  }

  /**
   * All outputs for all inputs, which are in the order of `tensors.inputs`.
   * @throws INFER_FAILED with what ONNX Runtime says
   */
  async run(inputs: readonly NamedTensor[]): Promise<readonly NamedTensor[]> {
    const memories = inputs.map(({ data }) => memoryOf(data));
    const tensors: OrtTensor[] = [];
    for (const [index, { type, shape }] of inputs.entries()) {
      tensors.push(new OrtTensor(type, shape, memories[index]?.address ?? 0n));
    }
    const values = new PointerTable(tensors.map(({ value }) => value));
    try {
      const names = this.tensors.outputs.map(({ name }) => name);
      const outputs = await this.#run.run(values, names);
      return outputs.map((output, index) => ({ name: names[index] ?? '', ...output }));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new AdaptletError('INFER_FAILED', `ONNX Runtime: ${why}`, { cause });
    } finally {
      values.free();
      for (const tensor of tensors) tensor.release();
      for (const memory of memories) memory.free();
    }
  }

  /** Not during a run. */
  release(): void {
    this.#session.release();
    this.#run.free();
  }
}

const memoryOf = (data: Uint8Array): NativeMemory => {
  const memory = new NativeMemory(data.length);
  new Uint8Array(memory.buffer).set(data);
  return memory;
};
