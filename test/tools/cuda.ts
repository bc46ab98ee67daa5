import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { filesOfWheels } from './wheels.ts';

const version = '1.24.1';

/** An ONNX Runtime with CUDA, and the folders in which the loader finds what it needs, cuDNN and cuBLAS among them. */
export type Cuda = { readonly library: string; readonly paths: readonly string[] };

/** All of it out of wheels of PyPI (about 2 GB). Undefined where there are no such wheels, or no python3 to fetch them. */
export const cudaLibrary = async (): Promise<Cuda | undefined> => {
  const folder = await filesOfWheels(`onnxruntime-gpu-${version}`, {
    [`onnxruntime-gpu==${version}`]: 'ac4bfc90c376516b13d709764ab257e4e3d78639bf6a2ccfc826e9db4a5c7ddf',
    'nvidia-cuda-runtime-cu12==12.9.79': '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
    'nvidia-cuda-nvrtc-cu12==12.9.86': '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
    'nvidia-cublas-cu12==12.9.1.4': '453611eb21a7c1f2c2156ed9f3a45b691deda0440ec550860290dc901af5b4c2',
    'nvidia-cudnn-cu12==9.9.0.52': 'bdfc5081008c3f94ef237cffa6a79b6f7cd709e6018d6dfacf5a7fc7b4434b88',
    'nvidia-cufft-cu12==11.4.1.4': 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
    'nvidia-curand-cu12==10.3.9.90': 'b32331d4f4df5d6eefa0554c565b626c7216f87a06a4f56fab27c3b68a830ec9',
    'nvidia-nvjitlink-cu12==12.9.86': 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  });
  if (folder === undefined) return undefined;
  const nvidia = join(folder, 'nvidia');
  const parts = await readdir(nvidia);
  return {
    library: join(folder, `onnxruntime/capi/libonnxruntime.so.${version}`),
    paths: [join(folder, 'onnxruntime/capi'), ...parts.map((part) => join(nvidia, part, 'lib'))],
  };
};
