import koffi from 'koffi';
import { type Handle, ort } from './library.ts';
import { readPointers } from './memory.ts';
import { type ElementType, elementBytes, elementsOf, elementTypeOf } from './tensor.ts';

/** What a run computed, row by row. */
export type OutputTensor = {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
};

/** A copy of the bytes at an address: what belongs to ONNX Runtime goes when its tensor does. */
const copyOf = (address: Handle, bytes: number): Uint8Array<ArrayBuffer> => {
  if (bytes === 0) return new Uint8Array();
  return new Uint8Array(koffi.view(address, bytes)).slice();
};

const shapeOf = (info: Handle): readonly number[] => {
  const rank = ort.count('GetDimensionsCount', info);
  if (rank === 0) return [];
  return readPointers(rank, (room) => ort.call('GetDimensions', info, room, rank)).map((size) =>
    Number(BigInt.asIntN(64, size)),
  );
};

const read = (value: Handle): OutputTensor => {
  const info = ort.get('GetTensorTypeAndShape', value);
  try {
    const type = elementTypeOf(ort.count('GetTensorElementType', info));
    if (type === undefined) throw new Error('an output is no tensor of numbers');
    const shape = shapeOf(info);
    const data = copyOf(ort.get('GetTensorMutableData', value), elementsOf(shape) * elementBytes(type));
    return { type, shape, data };
  } finally {
    ort.release('TensorTypeAndShapeInfo', info);
  }
};

/** Reads an output that ONNX Runtime allocated, and gives it back. Errors: OnnxRuntimeError. */
export const takeOutput = (value: Handle): OutputTensor => {
  try {
    return read(value);
  } finally {
    ort.release('Value', value);
  }
};
