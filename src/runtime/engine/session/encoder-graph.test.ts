import { describe, expect, it } from 'vitest';
import type { TensorInfo } from '../ort/session.ts';
import { embeddingOutput, readEncoderInputs, readEncoderOutputs } from './encoder-graph.ts';

const tensor = (
  name: string,
  shape: TensorInfo['shape'],
  type: TensorInfo['type'] = 'int64',
): TensorInfo => ({
  name,
  shape,
  type,
});
const open = ['batch', 'seq'];
const ids = tensor('input_ids', open);
const mask = tensor('attention_mask', open);

describe('the inputs of an encoder', () => {
  it('are tokens, mask, types where it has them, and exactly the LoRA inputs', () => {
    const lora = tensor('lora.q.A', ['rank', 4], 'float32');
    expect(readEncoderInputs({ inputs: [ids, mask] }, [])).toEqual(['input_ids', 'attention_mask']);
    expect(
      readEncoderInputs({ inputs: [mask, tensor('token_type_ids', open), ids, lora] }, ['lora.q.A']),
    ).toEqual(['input_ids', 'attention_mask', 'token_type_ids']);
  });

  it.each<[string, readonly TensorInfo[], readonly string[], RegExp]>([
    ['one that nothing feeds', [ids, mask, tensor('bbox', open)], [], /has \[bbox\] that nothing feeds/],
    ['a LoRA input that is not there', [ids, mask], ['lora.q.A'], /lacks the inputs \[lora\.q\.A\]/],
    ['no mask: padding would be attended to', [ids], [], /lacks the inputs \[attention_mask\]/],
    ['a fixed size', [ids, tensor('attention_mask', [1, 'seq'])], [], /attention_mask int64 \[1, seq\]/],
    ['another type', [ids, tensor('attention_mask', open, 'int32')], [], /attention_mask int32/],
  ])('are refused with %s', (_, inputs, lora, message) => {
    expect(() => readEncoderInputs({ inputs }, lora)).toThrow(message);
  });
});

describe('the outputs of an encoder', () => {
  const hidden = tensor('last_hidden_state', ['b', 's', 4], 'float32');
  const pooler = tensor('pooler_output', ['b', 4], 'float32');

  it('are known by name, and must have their form', () => {
    expect(readEncoderOutputs({ outputs: [pooler, hidden] })).toEqual({
      hidden: 'last_hidden_state',
      pooler: 'pooler_output',
      sentence: undefined,
    });
    expect(() => readEncoderOutputs({ outputs: [tensor('pooler_output', ['b', 4], 'float16')] })).toThrow(
      /must be float32 and have 2 dimensions/,
    );
  });

  it('must have what the pooling is made of', () => {
    const outputs = readEncoderOutputs({ outputs: [hidden] });
    expect(embeddingOutput(outputs, 'mean')).toBe('last_hidden_state');
    expect(() => embeddingOutput(outputs, 'pooler')).toThrow(/gives \[last_hidden_state\]/);
  });
});
