import { readdirSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { libraryVariable } from '../protocol.ts';

/** The address of something that ONNX Runtime owns. */
export type Handle = bigint;

/** What a C function takes: addresses, numbers, C strings, and arrays that are copied during the call. */
export type Argument = Handle | number | string | Uint8Array | BigInt64Array | null;

/** What ONNX Runtime says when it refuses something. */
export class OnnxRuntimeError extends Error {
  override readonly name = 'OnnxRuntimeError';
}

/**
 * The functions of OrtApi that are used here: place in that struct, and parameters. Places never change: new versions
 * only add at the end (https://github.com/microsoft/onnxruntime, onnxruntime_c_api.h). All of these give an OrtStatus.
 */
const statusFunctions = {
  CreateEnv: [3, 'int level, const char *id, _Out_ void **out'],
  DisableTelemetryEvents: [6, 'void *env'],
  CreateSessionFromArray: [8, 'void *env, const void *model, size_t bytes, void *options, _Out_ void **out'],
  Run: [
    9,
    'void *session, void *options, void *inputNames, void *inputs, size_t inputCount, void *outputNames, size_t outputCount, void *outputs',
  ],
  CreateSessionOptions: [10, '_Out_ void **out'],
  SetOptimizedModelFilePath: [11, 'void *options, const char *path'],
  EnableProfiling: [14, 'void *options, const char *prefix'],
  SetSessionGraphOptimizationLevel: [23, 'void *options, int level'],
  SetIntraOpNumThreads: [24, 'void *options, int threads'],
  SetInterOpNumThreads: [25, 'void *options, int threads'],
  SessionGetInputCount: [30, 'void *session, _Out_ size_t *out'],
  SessionGetOutputCount: [31, 'void *session, _Out_ size_t *out'],
  SessionGetInputTypeInfo: [33, 'void *session, size_t index, _Out_ void **out'],
  SessionGetOutputTypeInfo: [34, 'void *session, size_t index, _Out_ void **out'],
  SessionGetInputName: [36, 'void *session, size_t index, void *allocator, _Out_ void **out'],
  SessionGetOutputName: [37, 'void *session, size_t index, void *allocator, _Out_ void **out'],
  CreateRunOptions: [39, '_Out_ void **out'],
  RunOptionsSetTerminate: [46, 'void *options'],
  RunOptionsUnsetTerminate: [47, 'void *options'],
  CreateTensorWithDataAsOrtValue: [
    49,
    'void *info, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, _Out_ void **out',
  ],
  GetTensorMutableData: [51, 'void *value, _Out_ void **out'],
  CastTypeInfoToTensorInfo: [55, 'void *type, _Out_ void **out'],
  GetTensorElementType: [60, 'void *info, _Out_ int *out'],
  GetDimensionsCount: [61, 'void *info, _Out_ size_t *out'],
  GetDimensions: [62, 'void *info, void *dimensions, size_t rank'],
  GetSymbolicDimensions: [63, 'void *info, void *names, size_t rank'],
  GetTensorTypeAndShape: [65, 'void *value, _Out_ void **out'],
  CreateCpuMemoryInfo: [69, 'int allocator, int memory, _Out_ void **out'],
  AllocatorFree: [76, 'void *allocator, void *memory'],
  GetAllocatorWithDefaultOptions: [78, '_Out_ void **out'],
  SessionEndProfiling: [110, 'void *session, void *allocator, _Out_ void **out'],
  GetAvailableProviders: [125, '_Out_ void **names, _Out_ int *count'],
  ReleaseAvailableProviders: [126, 'void *names, int count'],
  AddSessionConfigEntry: [130, 'void *options, const char *key, const char *value'],
  AddInitializer: [150, 'void *options, const char *name, void *value'],
  CreatePrepackedWeightsContainer: [166, '_Out_ void **out'],
  CreateSessionFromArrayWithPrepackedWeightsContainer: [
    169,
    'void *env, const void *model, size_t bytes, void *options, void *container, _Out_ void **out',
  ],
  SessionOptionsAppendExecutionProvider_TensorRT_V2: [170, 'void *options, void *own'],
  CreateTensorRTProviderOptions: [171, '_Out_ void **out'],
  UpdateTensorRTProviderOptions: [172, 'void *own, void *keys, void *values, size_t count'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'void *options, void *own'],
  CreateCUDAProviderOptions: [205, '_Out_ void **out'],
  UpdateCUDAProviderOptions: [206, 'void *own, void *keys, void *values, size_t count'],
  SessionOptionsAppendExecutionProvider: [
    216,
    'void *options, const char *name, void *keys, void *values, size_t count',
  ],
  RegisterCustomOpsLibrary_V2: [228, 'void *options, const char *path'],
  SessionOptionsAppendExecutionProvider_CANN: [220, 'void *options, void *own'],
  CreateCANNProviderOptions: [221, '_Out_ void **out'],
  UpdateCANNProviderOptions: [222, 'void *own, void *keys, void *values, size_t count'],
} as const;

const releaseFunctions = {
  Status: 93,
  Session: 95,
  Value: 96,
  RunOptions: 97,
  TypeInfo: 98,
  TensorTypeAndShapeInfo: 99,
  SessionOptions: 100,
  PrepackedWeightsContainer: 167,
  TensorRTProviderOptions: 174,
  CUDAProviderOptions: 208,
  CANNProviderOptions: 224,
} as const;

/** The version of OrtApi that has all of them. */
const apiVersion = 22;

export type StatusFunction = keyof typeof statusFunctions;
type Native = KoffiFunc<(...args: unknown[]) => Handle | null>;

/** The library that the environment names, or the one that onnxruntime-node brings for this system. */
const findLibrary = (): string => {
  const named = process.env[libraryVariable];
  if (named !== undefined && named !== '') return named;
  const binaries = fileURLToPath(new URL('../bin/', import.meta.resolve('onnxruntime-node')));
  const [napi = ''] = readdirSync(binaries).filter((name) => name.startsWith('napi-v'));
  const folder = join(binaries, napi, platform(), arch());
  const library = readdirSync(folder).find((name) => name.startsWith('libonnxruntime.'));
  if (library === undefined) throw new Error(`onnxruntime-node brings no libonnxruntime in ${folder}`);
  return join(folder, library);
};

const pointerBytes = 8;
/** 0 for none. */
const pointerAt = (address: Handle, place: number): Handle =>
  (koffi.decode(address, place * pointerBytes, 'void *') as Handle | null) ?? 0n;

const notOurs = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('ONNX_RUNTIME_INVALID', what, { cause });

const load = (path: string): LibraryHandle => {
  try {
    return koffi.load(path);
  } catch (cause) {
    throw notOurs(`${path} cannot be loaded: ${String(cause)}`, cause);
  }
};

/** A C string in memory of someone else. */
export const stringAt = (address: Handle): string => koffi.decode(address, 'char', -1) as string;

/** Addresses or C strings that stand one after the other. */
export const pointersAt = (address: Handle, count: number): readonly Handle[] =>
  Array.from({ length: count }, (_, place) => pointerAt(address, place));

class OrtLibrary {
  readonly version: string;
  readonly path = findLibrary();
  /** The library is unloaded when nothing holds it, whatever points into it. */
  readonly #library: LibraryHandle;
  readonly #api: Handle;
  readonly #functions = new Map<string, Native>();

  constructor() {
    this.#library = load(this.path);
    const base = this.#apiBase();
    const getApi = koffi.decode(pointerAt(base, 0), koffi.proto('void *(uint32_t version)')) as Native;
    const getVersion = koffi.decode(pointerAt(base, 1), koffi.proto('const char *()')) as () => string;
    this.version = getVersion();
    const api = getApi(apiVersion);
    if (api === null) {
      const { path, version } = this;
      throw notOurs(`${path} is ONNX Runtime ${version}; 1.${apiVersion} or newer is needed`);
    }
    this.#api = api;
  }

  /**
   * Calls a function.
   * @throws OnnxRuntimeError
   */
  call(name: StatusFunction, ...args: readonly (Argument | [unknown])[]): void {
    this.#check(this.#function(name)(...args));
  }

  /**
   * Calls a function on another thread. What the arguments point to must stay until then.
   * @throws OnnxRuntimeError
   */
  async callAsync(name: StatusFunction, ...args: readonly (Argument | [unknown])[]): Promise<void> {
    const status = await new Promise<Handle | null>((resolve, reject) => {
      this.#function(name).async(...args, (error: unknown, result) => {
        if (error === null || error === undefined) resolve(result);
        else reject(error instanceof Error ? error : new Error(`${name} was not called`));
      });
    });
    this.#check(status);
  }

  /** Calls a function and answers what it gives in its last parameter. */
  get(name: StatusFunction, ...args: readonly Argument[]): Handle {
    const out: [unknown] = [null];
    this.call(name, ...args, out);
    return asHandle(name, out[0]);
  }

  /** {@link get} of a function that takes long, on another thread. */
  async getAsync(name: StatusFunction, ...args: readonly Argument[]): Promise<Handle> {
    const out: [unknown] = [null];
    await this.callAsync(name, ...args, out);
    return asHandle(name, out[0]);
  }

  count(name: StatusFunction, ...args: readonly Argument[]): number {
    const out: [unknown] = [0];
    this.call(name, ...args, out);
    return Number(out[0]);
  }

  release(kind: keyof typeof releaseFunctions, handle: Handle): void {
    this.#bind(`Release${kind}`, releaseFunctions[kind], 'void', 'void *handle')(handle);
  }

  #apiBase(): Handle {
    try {
      const getApiBase = this.#library.func('void *OrtGetApiBase()') as unknown as () => Handle;
      return getApiBase();
    } catch (cause) {
      throw notOurs(`${this.path} is a library, but not ONNX Runtime: ${String(cause)}`, cause);
    }
  }

  #check(status: Handle | null): void {
    if (status === null) return;
    const message = this.#bind('GetErrorMessage', 2, 'const char *', 'void *status')(status);
    this.release('Status', status);
    throw new OnnxRuntimeError(String(message));
  }

  #function(name: StatusFunction): Native {
    const [place, parameters] = statusFunctions[name];
    return this.#bind(name, place, 'void *', parameters);
  }

  #bind(name: string, place: number, result: string, parameters: string): Native {
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    const proto = koffi.proto(`${result}(${parameters})`);
    const native = koffi.decode(pointerAt(this.#api, place), proto) as Native;
    this.#functions.set(name, native);
    return native;
  }
}

const asHandle = (name: string, value: unknown): Handle => {
  if (typeof value === 'bigint') return value;
  throw new Error(`${name} gave no address`);
};

/** ONNX Runtime's C API. One per process. */
export const ort = new OrtLibrary();

/** Errors come back as status; its log would say them once more. */
const logFatalOnly = 4;
const arenaAllocator = 1;
const defaultMemory = 0;

/** What everything else is made with. */
const createEnvironment = (): {
  readonly env: Handle;
  readonly cpuMemory: Handle;
  readonly allocator: Handle;
} => {
  const env = ort.get('CreateEnv', logFatalOnly, 'adaptlet');
  ort.call('DisableTelemetryEvents', env);
  return {
    env,
    cpuMemory: ort.get('CreateCpuMemoryInfo', arenaAllocator, defaultMemory),
    allocator: ort.get('GetAllocatorWithDefaultOptions'),
  };
};

export const { env, cpuMemory, allocator } = createEnvironment();
