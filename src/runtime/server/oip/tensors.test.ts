import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import { readPrompt } from './infer.ts';
import { readInferParameters } from './parameters.ts';
import { encodeBytes, encodeInt64, inputData, readIds, readText } from './tensors.ts';

const one = (request: Parameters<typeof ModelInferRequest.fromPartial>[0]) => {
  const [input] = inputData(ModelInferRequest.fromPartial(request));
  if (input === undefined) throw new Error('no input');
  return input;
};

it('any text survives the raw form', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const inputs = [{ name: 'text', datatype: 'BYTES', shape: [1n] }];
      expect(readText(one({ inputs, rawInputContents: [encodeBytes(text)] }))).toBe(text);
    }),
  );
});

it('any token ids survive the raw and the typed form', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeInteger(), { minLength: 1 }), (ids) => {
      const tensor = { name: 'input_ids', datatype: 'INT64', shape: [1n, BigInt(ids.length)] };
      expect(readIds(one({ inputs: [tensor], rawInputContents: [encodeInt64(ids)] }))).toEqual(ids);
      const contents = { int64Contents: ids.map(BigInt) };
      expect(readIds(one({ inputs: [{ ...tensor, contents }] }))).toEqual(ids);
    }),
  );
});

/** Whatever a peer sends, in the shape that the protobuf decoder lets through. */
const anyRequest = fc.record({
  inputs: fc.array(
    fc.record({
      name: fc.constantFrom('text', 'input_ids', '', 'x'),
      datatype: fc.constantFrom('BYTES', 'INT64', 'FP32', ''),
      shape: fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 3 }),
      contents: fc.option(
        fc.record({
          bytesContents: fc.array(
            fc.uint8Array().map((b) => Buffer.from(b)),
            { maxLength: 2 },
          ),
          int64Contents: fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 3 }),
        }),
        { nil: undefined },
      ),
    }),
    { maxLength: 2 },
  ),
  rawInputContents: fc.array(
    fc.uint8Array({ maxLength: 24 }).map((b) => Buffer.from(b)),
    { maxLength: 2 },
  ),
});

it('a request that is not understood is refused by our own error, never by a crash', () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      try {
        readPrompt(ModelInferRequest.fromPartial(request));
      } catch (error) {
        expect(error).toBeInstanceOf(AdaptletError);
      }
    }),
    { numRuns: 2000 },
  );
});

it.each([
  ['one string as it is', 'END', ['END']],
  ['a JSON array as its strings', '["a","b"]', ['a', 'b']],
  ['a bracket that is no JSON as it is', '[', ['[']],
  ['an array of other things as it is', '[1]', ['[1]']],
])('the parameter stop takes %s', (_, value, stop) => {
  expect(
    readInferParameters({ stop: { parameterChoice: { $case: 'stringParam', value } } }).options.stop,
  ).toEqual(stop);
});
