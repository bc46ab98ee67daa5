import { describe, expect, it } from 'vitest';
import { ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import { bytesOfValues, contentsOf, readTensor } from './datatypes.ts';
import { inputData } from './tensors.ts';

type Input = NonNullable<Parameters<typeof ModelInferRequest.fromPartial>[0]['inputs']>[number];

const read = (input: Input, raw?: Buffer) => {
  const request = ModelInferRequest.fromPartial({
    inputs: [input],
    ...(raw === undefined ? {} : { rawInputContents: [raw] }),
  });
  const [data] = inputData(request);
  if (data === undefined) throw new Error('no input');
  return readTensor(data);
};

describe('tensors of numbers', () => {
  it.each<[string, object]>([
    ['BOOL', { boolContents: [true, false] }],
    ['INT8', { intContents: [-128, 127] }],
    ['INT16', { intContents: [-32_768, 32_767] }],
    ['INT32', { intContents: [-2_147_483_648, 2_147_483_647] }],
    ['INT64', { int64Contents: [-(2n ** 63n), 2n ** 63n - 1n] }],
    ['UINT8', { uintContents: [0, 255] }],
    ['UINT16', { uintContents: [0, 65_535] }],
    ['UINT32', { uintContents: [0, 4_294_967_295] }],
    ['UINT64', { uint64Contents: [0n, 2n ** 64n - 1n] }],
    ['FP32', { fp32Contents: [1.5, -0.25] }],
    ['FP64', { fp64Contents: [1e-300, Math.PI] }],
  ])('of %s come back from typed contents as they were', (datatype, contents) => {
    const tensor = read({ name: 'x', datatype, shape: [2n], contents });
    expect(tensor).toMatchObject({ name: 'x', shape: [2] });
    expect(contentsOf(tensor)).toEqual(contents);
  });

  it('are read from bytes that lie anywhere in a larger buffer', () => {
    const larger = Buffer.alloc(9);
    larger.writeFloatLE(1.5, 1);
    larger.writeFloatLE(-2, 5);
    const tensor = read({ name: 'x', datatype: 'FP32', shape: [2n] }, larger.subarray(1));
    expect(contentsOf({ ...tensor, data: new Uint8Array(larger.buffer, larger.byteOffset + 1, 8) })).toEqual({
      fp32Contents: [1.5, -2],
    });
    expect(contentsOf(tensor)).toEqual({ fp32Contents: [1.5, -2] });
  });

  it('of FP16 have to be raw, and have no typed contents', () => {
    const input = { name: 'x', datatype: 'FP16', shape: [1n] };
    expect(contentsOf(read(input, Buffer.from([0, 60])))).toBeUndefined();
    expect(() => read({ ...input, contents: { fp32Contents: [1] } })).toThrow(/raw_input_contents/);
  });

  it.each<[string, Input, RegExp]>([
    ['a datatype that is none', { name: 'x', datatype: 'BYTES', shape: [1n] }, /input x has datatype BYTES/],
    [
      'contents of another type',
      { name: 'x', datatype: 'INT8', shape: [1n], contents: { fp32Contents: [1] } },
      /int_contents/,
    ],
    ['no contents', { name: 'x', datatype: 'FP32', shape: [1n] }, /no contents/],
    [
      'a parameter',
      { name: 'x', datatype: 'FP32', shape: [1n], parameters: { p: {} } },
      /parameter p of input x is not known/,
    ],
  ])('are refused with %s', (_, input, message) => {
    expect(() => read(input)).toThrow(message);
  });

  it.each(['FP32 1e39', 'FP32 -1e39', 'FP32 1e999', 'FP64 1e999', 'FP64 -1e999'])(
    'of JSON are refused where they would be infinite: %s',
    (one) => {
      const [datatype = '', value = ''] = one.split(' ');
      expect(() => bytesOfValues('x', datatype, [JSON.parse(value)])).toThrow(/not exact in JSON/);
      expect(bytesOfValues('x', 'FP64', [1e39]).readDoubleLE()).toBe(1e39);
    },
  );
});
