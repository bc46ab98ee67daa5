import { join } from 'node:path';
import { filesOfWheels } from './wheels.ts';

const version = '1.24.1';

/**
 * Path of an ONNX Runtime with OpenVINO, whose libraries lie beside it: out of a wheel of PyPI (84 MB).
 * Undefined where there is no such wheel, or no python3 to fetch it; never undefined in CI.
 */
export const openVinoLibrary = async (): Promise<string | undefined> => {
  const folder = await filesOfWheels(`onnxruntime-openvino-${version}`, {
    [`onnxruntime-openvino==${version}`]: '3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8',
  });
  return folder && join(folder, `onnxruntime/capi/libonnxruntime.so.${version}`);
};
