import { type Handle, ort, pointersAt, stringAt } from './library.ts';
import { StringTable } from './memory.ts';

/** Providers of ONNX Runtime's own name; the CPU is always there and takes what no other one does. */
export const cpuProvider = 'CPUExecutionProvider';

const suffix = 'ExecutionProvider';

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

/**
 * Asks for a provider in the options of a session. ONNX Runtime takes most by their name without its ending; it refuses
 * those that this build lacks.
 * @throws OnnxRuntimeError
 */
export const appendProvider = (options: Handle, provider: string): void => {
  if (provider === cpuProvider) return;
  const name = provider.endsWith(suffix) ? provider.slice(0, -suffix.length) : provider;
  if (name === 'CUDA') {
    const cuda = ort.get('CreateCUDAProviderOptions');
    try {
      ort.call('SessionOptionsAppendExecutionProvider_CUDA_V2', options, cuda);
    } finally {
      ort.release('CUDAProviderOptions', cuda);
    }
    return;
  }
  const none = new StringTable([]);
  try {
    ort.call('SessionOptionsAppendExecutionProvider', options, name, none.address, none.address, 0);
  } finally {
    none.free();
  }
};
