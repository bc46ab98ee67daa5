import { type Handle, ort, pointersAt, type StatusFunction, stringAt } from './library.ts';
import { StringTable } from './memory.ts';

/** Providers of ONNX Runtime's own name; the CPU is always there and takes what no other one does. */
export const cpuProvider = 'CPUExecutionProvider';

/** An entry of `executionProviders`: NAME, or NAME?option=value&option=value as in the query of a URL. */
export type ProviderEntry = {
  /** By ONNX Runtime's name. */
  readonly name: string;
  readonly options: ReadonlyMap<string, string>;
};

export const readProvider = (entry: string): ProviderEntry => {
  const [name = '', ...query] = entry.split('?');
  return { name, options: new Map(new URLSearchParams(query.join('?'))) };
};

/** Providers that this build of ONNX Runtime has, by name. Being built in says nothing of a device. */
export const builtInProviders = (): readonly string[] => {
  const names: [unknown] = [null];
  const count: [unknown] = [0];
  ort.call('GetAvailableProviders', names, count);
  const [address] = names;
  if (typeof address !== 'bigint') return [];
  try {
    return pointersAt(address, Number(count[0])).map(stringAt);
  } finally {
    ort.call('ReleaseAvailableProviders', address, Number(count[0]));
  }
};

/** Functions of a provider that ONNX Runtime's general one does not know. */
type OwnFunctions = {
  readonly create: StatusFunction;
  readonly update: StatusFunction;
  readonly append: StatusFunction;
  readonly release: 'CUDAProviderOptions' | 'TensorRTProviderOptions' | 'CANNProviderOptions';
};

const ownFunctions: Readonly<Record<string, OwnFunctions>> = {
  CUDAExecutionProvider: {
    create: 'CreateCUDAProviderOptions',
    update: 'UpdateCUDAProviderOptions',
    append: 'SessionOptionsAppendExecutionProvider_CUDA_V2',
    release: 'CUDAProviderOptions',
  },
  TensorrtExecutionProvider: {
    create: 'CreateTensorRTProviderOptions',
    update: 'UpdateTensorRTProviderOptions',
    append: 'SessionOptionsAppendExecutionProvider_TensorRT_V2',
    release: 'TensorRTProviderOptions',
  },
  CANNExecutionProvider: {
    create: 'CreateCANNProviderOptions',
    update: 'UpdateCANNProviderOptions',
    append: 'SessionOptionsAppendExecutionProvider_CANN',
    release: 'CANNProviderOptions',
  },
};

/** Options without which a provider would compute less exactly than the model says, or take all cores of the machine. */
const defaultsOf = (name: string, threads: number): Readonly<Record<string, string>> => {
  if (name === 'OpenVINOExecutionProvider') return { precision: 'ACCURACY', num_of_threads: String(threads) };
  // Else products of float32 have 10 bits of mantissa on Ampere and later.
  if (name === 'CUDAExecutionProvider') return { use_tf32: '0' };
  return {};
};

/**
 * Asks for a provider in the options of a session. ONNX Runtime refuses those that this build lacks, and options that
 * they do not know.
 * @throws OnnxRuntimeError
 */
export const appendProvider = (session: Handle, entry: string, threads: number): void => {
  const { name, options } = readProvider(entry);
  if (name === cpuProvider) return;
  const all = { ...defaultsOf(name, threads), ...Object.fromEntries(options) };
  const keys = new StringTable(Object.keys(all));
  const values = new StringTable(Object.values(all));
  try {
    const own = ownFunctions[name];
    if (own === undefined) {
      const call = 'SessionOptionsAppendExecutionProvider';
      ort.call(call, session, name, keys.address, values.address, keys.length);
      return;
    }
    const made = ort.get(own.create);
    try {
      if (keys.length > 0) ort.call(own.update, made, keys.address, values.address, keys.length);
      ort.call(own.append, session, made);
    } finally {
      ort.release(own.release, made);
    }
  } finally {
    keys.free();
    values.free();
  }
};
