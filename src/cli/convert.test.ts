import { expect, it } from 'vitest';
import type { Conversion } from '../runtime/adapter/conversion/convert.ts';
import { conversionText } from './convert.ts';

const conversion: Conversion = {
  to: 'int8',
  bytesBefore: 4_940_000,
  bytesAfter: 3_180_400,
  error: {
    tensors: 420,
    maxAbs: 0.000_315_4,
    maxAbsTensor: 'a',
    relative: { overall: 0.004_91, mean: 0.004_08, worst: 0.006_57, worstTensor: 'b' },
  },
};

it('says the sizes, and the error with the tensors that have most of it', () => {
  expect(conversionText('out', conversion)).toBe(
    [
      'out: 420 tensors as int8, 3.18 MB instead of 4.94 MB',
      'largest error of a weight: 0.000315 (a)',
      'relative error (Frobenius norm): overall 0.491 %, mean of the tensors 0.408 %, worst 0.657 % (b)',
      '',
    ].join('\n'),
  );
});

it('says that nothing changed in place of an error of 0', () => {
  const { error } = conversion;
  expect(conversionText('out', { ...conversion, to: 'float16', error: { ...error, maxAbs: 0 } })).toBe(
    'out: 420 tensors as float16, 3.18 MB instead of 4.94 MB\nevery weight has the value that it had\n',
  );
});
