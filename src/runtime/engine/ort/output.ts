import koffi from 'koffi';
import type { ElementType } from '../tasks.ts';
import { type Handle, ort } from './library.ts';
import { NativeMemory } from './memory.ts';
import { elementBytes, elementsOf, elementTypeOf } from './tensor.ts';

/** What a run computed, row by row. */
export type OutputTensor = {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
};

/** A copy of a tensor's bytes: what belongs to ONNX Runtime goes when the tensor does. One without elements has no address. */
const bytesOf = (value: Handle, bytes: number): Uint8Array<ArrayBuffer> => {
  if (bytes === 0) return new Uint8Array();
  return new Uint8Array(koffi.view(ort.get('GetTensorMutableData', value), bytes)).slice();
};

const shapeOf = (info: Handle): readonly number[] => {
  const rank = ort.count('GetDimensionsCount', info);
  if (rank === 0) return [];
  const memory = new NativeMemory(rank * BigInt64Array.BYTES_PER_ELEMENT);
  try {
    ort.call('GetDimensions', info, memory.address, rank);
    return [...new BigInt64Array(memory.buffer)].map(Number);
  } finally {
    memory.free();
  }
};

const read = (value: Handle): OutputTensor => {
  const info = ort.get('GetTensorTypeAndShape', value);
  try {
    const type = elementTypeOf(ort.count('GetTensorElementType', info));
    if (type === undefined) throw new Error('an output is no tensor of numbers');
    const shape = shapeOf(info);
    return { type, shape, data: bytesOf(value, elementsOf(shape) * elementBytes(type)) };
  } finally {
    ort.release('TensorTypeAndShapeInfo', info);
  }
};

/**
 * Reads outputs that ONNX Runtime allocated, and gives all of them back, whatever comes of reading one.
 * @throws OnnxRuntimeError
 */
export const takeOutputs = (values: readonly Handle[]): readonly OutputTensor[] => {
  try {
    return values.map(read);
  } finally {
    releaseOutputs(values);
  }
};

/** Gives back what a run allocated; one that failed may have made some of its outputs. */
export const releaseOutputs = (values: readonly Handle[]): void => {
  for (const value of values) if (value !== 0n) ort.release('Value', value);
};
