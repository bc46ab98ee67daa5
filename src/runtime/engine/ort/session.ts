import type { ElementType } from '../tasks.ts';
import { allocator, env, type Handle, ort, stringAt } from './library.ts';
import type { MappedWeights } from './mapped-weights.ts';
import { type PointerTable, readPointers, type StringTable } from './memory.ts';
import type { Operator } from './operator.ts';
import { appendProvider } from './providers.ts';
import { elementTypeOf } from './tensor.ts';

/** An input or output of a graph. A dimension without a fixed size has its symbol, or an empty string. */
export type TensorInfo = {
  readonly name: string;
  /** Undefined for what is no tensor of a type that is handled here. */
  readonly type: ElementType | undefined;
  readonly shape: readonly (number | string)[];
};

export type OnnxSessionOptions = {
  /** Threads of one run. */
  readonly threads: number;
  /** `all` optimises the graph; `none` takes it as it is, because it was optimised before. */
  readonly optimise: 'all' | 'none';
  /** Threads wait busily for the next operator, for a moment that is longer than the gaps within a run. */
  readonly spin: boolean;
  /** As in `executionProviders`; what it does not take runs on the CPU. */
  readonly provider: string;
  /** Where external weights are looked for. */
  readonly weightsFolder?: string;
  /** Takes the weights that it has from there in place of the folder. They have to outlive the session. */
  readonly weights?: MappedWeights | undefined;
  /** Writes the optimised graph here. */
  readonly optimisedFile?: string | undefined;
  /** Name of a file beside it for its constants, and all other weights: a graph of more than 2 GiB cannot be written. */
  readonly optimisedWeights?: string | undefined;
  /** Begin of the path of a file that {@link OnnxSession.endProfile} finds every operator in that ran until then. */
  readonly profile?: string | undefined;
  /** An operator that the graph may have. */
  readonly operator?: Operator | undefined;
  /** Further `session.*` entries. */
  readonly config?: Readonly<Record<string, string>>;
};

/** As fast as ONNX Runtime's own default, and far less of what others could use (docs/adr/0020). */
const spinMicroseconds = '20';

const levels = { all: 99, none: 0 } as const;

const sessionOptions = (options: OnnxSessionOptions): Handle => {
  const handle = ort.get('CreateSessionOptions');
  const {
    threads,
    optimise,
    spin,
    weightsFolder,
    optimisedFile,
    optimisedWeights,
    profile,
    config = {},
  } = options;
  ort.call('SetIntraOpNumThreads', handle, threads);
  ort.call('SetInterOpNumThreads', handle, 1);
  ort.call('SetSessionGraphOptimizationLevel', handle, levels[optimise]);
  if (optimisedFile !== undefined) ort.call('SetOptimizedModelFilePath', handle, optimisedFile);
  if (profile !== undefined) ort.call('EnableProfiling', handle, profile);
  const entries = {
    'session.intra_op.allow_spinning': spin ? '1' : '0',
    ...(spin ? { 'session.intra_op.spin_duration_us': spinMicroseconds } : {}),
    ...(weightsFolder === undefined
      ? {}
      : { 'session.model_external_initializers_file_folder_path': weightsFolder }),
    ...(optimisedWeights === undefined
      ? {}
      : {
          'session.optimized_model_external_initializers_file_name': optimisedWeights,
          'session.optimized_model_external_initializers_min_size_in_bytes': '1024',
        }),
    ...config,
  };
  for (const [key, value] of Object.entries(entries)) ort.call('AddSessionConfigEntry', handle, key, value);
  if (options.operator !== undefined) ort.call('RegisterCustomOpsLibrary_V2', handle, options.operator.path);
  for (const [name, value] of options.weights?.values ?? []) ort.call('AddInitializer', handle, name, value);
  appendProvider(handle, options.provider, threads);
  return handle;
};

const nameAt = (session: Handle, kind: 'Input' | 'Output', index: number): string => {
  const address = ort.get(`SessionGet${kind}Name`, session, index, allocator);
  try {
    return stringAt(address);
  } finally {
    ort.call('AllocatorFree', allocator, address);
  }
};

/** Sizes of the dimensions; those that vary have their symbol. */
const shapeOf = (info: Handle): readonly (number | string)[] => {
  const rank = ort.count('GetDimensionsCount', info);
  const sizes = readPointers(rank, (room) => ort.call('GetDimensions', info, room, rank));
  const symbols = readPointers(rank, (room) => ort.call('GetSymbolicDimensions', info, room, rank));
  return sizes.map((bits, index) => {
    const size = BigInt.asIntN(64, bits);
    const symbol = symbols[index] ?? 0n;
    if (size >= 0n) return Number(size);
    return symbol === 0n ? '' : stringAt(symbol);
  });
};

const infoAt = (session: Handle, kind: 'Input' | 'Output', index: number): TensorInfo => {
  const name = nameAt(session, kind, index);
  const type = ort.get(`SessionGet${kind}TypeInfo`, session, index);
  try {
    const out: [unknown] = [null];
    ort.call('CastTypeInfoToTensorInfo', type, out);
    // It belongs to the type.
    const [info] = out;
    if (typeof info !== 'bigint') return { name, type: undefined, shape: [] };
    return { name, type: elementTypeOf(ort.count('GetTensorElementType', info)), shape: shapeOf(info) };
  } finally {
    ort.release('TypeInfo', type);
  }
};

const createSession = async (
  graph: Uint8Array,
  options: Handle,
  weights: MappedWeights | undefined,
): Promise<Handle> => {
  if (weights === undefined)
    return await ort.getAsync('CreateSessionFromArray', env, graph, graph.length, options);
  const create = 'CreateSessionFromArrayWithPrepackedWeightsContainer';
  try {
    return await ort.getAsync(create, env, graph, graph.length, options, weights.container);
  } finally {
    weights.settle();
  }
};

/** What one run takes: names and values, position by position. They stay as they are until it is over. */
export type RunInputs = { readonly names: StringTable; readonly values: PointerTable };
/** What it fills. A value of 0 is allocated by ONNX Runtime, and the caller has to release it. */
export type RunOutputs = RunInputs;

/**
 * A graph that ONNX Runtime has loaded. Runs are on another thread, so the process answers meanwhile.
 *
 * Assumes one run at a time.
 */
export class OnnxSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  #session: Handle | undefined;
  readonly #runOptions: Handle;

  private constructor(session: Handle) {
    this.#session = session;
    this.#runOptions = ort.get('CreateRunOptions');
    const read = (kind: 'Input' | 'Output'): readonly TensorInfo[] =>
      Array.from({ length: ort.count(`SessionGet${kind}Count`, session) }, (_, index) =>
        infoAt(session, kind, index),
      );
    this.inputs = read('Input');
    this.outputs = read('Output');
  }

  /** @throws OnnxRuntimeError when the graph, its weights or an option is refused */
  static async open(graph: Uint8Array, options: OnnxSessionOptions): Promise<OnnxSession> {
    const handle = sessionOptions(options);
    try {
      return new OnnxSession(await createSession(graph, handle, options.weights));
    } finally {
      ort.release('SessionOptions', handle);
    }
  }

  /** @throws OnnxRuntimeError, also when it was terminated */
  async run(inputs: RunInputs, outputs: RunOutputs): Promise<void> {
    await ort.callAsync(
      'Run',
      this.#alive(),
      this.#runOptions,
      inputs.names.address,
      inputs.values.address,
      inputs.values.length,
      outputs.names.address,
      outputs.values.length,
      outputs.values.address,
    );
  }

  /** Lets the present run end before its next operator, with an error; and every later one until `resume`. */
  terminate(): void {
    ort.call('RunOptionsSetTerminate', this.#runOptions);
  }

  resume(): void {
    ort.call('RunOptionsUnsetTerminate', this.#runOptions);
  }

  /** Ends what `profile` began, and answers the path of the file. */
  endProfile(): string {
    const address = ort.get('SessionEndProfiling', this.#alive(), allocator);
    try {
      return stringAt(address);
    } finally {
      ort.call('AllocatorFree', allocator, address);
    }
  }

  /** Frees the graph. Not during a run. */
  release(): void {
    ort.release('Session', this.#alive());
    ort.release('RunOptions', this.#runOptions);
    this.#session = undefined;
  }

  #alive(): Handle {
    if (this.#session === undefined) throw new Error('the session was released before');
    return this.#session;
  }
}
