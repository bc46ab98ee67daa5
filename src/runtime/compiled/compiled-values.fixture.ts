import { readFile } from 'node:fs/promises';
import type { CompiledHeader, CompiledTensor } from './compiled-file.ts';
import { readCompiledHeader } from './read-header.ts';

/** One value as the description of the format says, read on its own. */
const valueAt = (bytes: DataView, tensor: CompiledTensor, at: number): number => {
  const { half, dtype, shape, offset, scale } = tensor;
  switch (dtype) {
    case 'float32':
      return bytes.getFloat32(offset + 4 * at, true) * scale;
    case 'float16':
      return bytes.getFloat16(offset + 2 * at, true) * scale;
    case 'bfloat16': {
      const wide = new DataView(new ArrayBuffer(4));
      wide.setUint16(2, bytes.getUint16(offset + 2 * at, true), true);
      return wide.getFloat32(0, true) * scale;
    }
    case 'int8': {
      // Ranks are the rows of both; the scales of B are of its output features, the columns.
      const [scales, feature] =
        half === 'A' ? [shape[0], Math.floor(at / shape[1])] : [shape[1], at % shape[1]];
      const ofFeature = bytes.getFloat32(offset + 4 * feature, true);
      return Math.fround(bytes.getInt8(offset + 4 * scales + at) * ofFeature) * scale;
    }
  }
};

/** What the engine has to compute with, by `module half`: A [rank, in], B [rank, out]. */
export const compiledValues = async (
  file: string,
): Promise<{ readonly header: CompiledHeader; readonly values: ReadonlyMap<string, Float32Array> }> => {
  const header = await readCompiledHeader(file);
  const content = await readFile(file);
  const bytes = new DataView(content.buffer, content.byteOffset, content.length);
  const values = header.tensors.map((tensor): [string, Float32Array] => [
    `${tensor.module} ${tensor.half}`,
    Float32Array.from({ length: tensor.shape[0] * tensor.shape[1] }, (_, at) => valueAt(bytes, tensor, at)),
  ]);
  return { header, values: new Map(values) };
};
