import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledHead } from '../../compiled/compiled-file.ts';
import { orCorrupt, readCompiledHeader } from '../../compiled/read-header.ts';
import type { Classification, EncoderInfo } from '../tasks.ts';

/** The linear that PEFT saved beside an adapter: logits = weight · pooled + bias. */
export type Head = {
  readonly labels: readonly string[];
  /** [labels, features], row by row. */
  readonly weight: Float32Array;
  /** [labels] */
  readonly bias: Float32Array;
  /** Of labels that exclude each other, of labels that do not, and of none. */
  readonly activation: CompiledHead['activation'];
};

const logitsOf = ({ labels, weight, bias }: Head, pooled: Float32Array): number[] =>
  labels.map((_, row) => {
    let sum = 0;
    for (let at = 0; at < pooled.length; at += 1) {
      sum += (weight[row * pooled.length + at] ?? NaN) * (pooled[at] ?? NaN);
    }
    return Math.fround(sum + (bias[row] ?? NaN));
  });

const softmax = (logits: readonly number[]): number[] => {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
};

const probabilitiesOf = (activation: Head['activation'], logits: readonly number[]): readonly number[] => {
  if (activation === 'softmax') return softmax(logits);
  if (activation === 'sigmoid') return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  return logits;
};

/** Classifies a text by what the model's pooler gave for it. The label is the one of the largest logit, the first of equals. */
export const classify = (head: Head, pooled: Float32Array): Classification => {
  const logits = logitsOf(head, pooled);
  const best = logits.reduce((top, logit, index) => (logit > (logits[top] ?? NaN) ? index : top), 0);
  return {
    label: head.labels[best] ?? '',
    logits,
    probabilities: probabilitiesOf(head.activation, logits),
  };
};

const corrupt = (file: string, what: string): AdaptletError =>
  new AdaptletError('COMPILED_FILE_CORRUPT', `${file}: ${what}`);

const readPart = async (file: string, part: CompiledHead['weight'], what: string): Promise<Float32Array> => {
  await using handle = await open(file, 'r');
  const bytes = new Uint8Array(part.length);
  const { bytesRead } = await handle.read(bytes, 0, part.length, part.offset);
  if (bytesRead < part.length || crc32(bytes) !== part.crc32) {
    throw corrupt(file, `the bytes of the head's ${what} do not match their checksum`);
  }
  return new Float32Array(bytes.buffer);
};

const headIn = async (file: string, { headFeatures = 0 }: EncoderInfo): Promise<Head | undefined> => {
  const { head } = await readCompiledHeader(file);
  if (head === undefined) return undefined;
  const weight = await readPart(file, head.weight, 'weight');
  const bias = await readPart(file, head.bias, 'bias');
  const count = head.labels.length;
  if (count === 0 || bias.length !== count || weight.length !== count * headFeatures) {
    throw corrupt(
      file,
      `the head has ${weight.length} weights and ${bias.length} biases for ${count} labels`,
    );
  }
  return { labels: head.labels, weight, bias, activation: head.activation };
};

/**
 * The classification head of a compiled file, every byte checked; undefined where it has none. It is small, and stays on
 * the heap: nothing moves it.
 * @throws COMPILED_FILE_CORRUPT, COMPILED_FILE_STALE
 */
export const readHead = (file: string, info: EncoderInfo): Promise<Head | undefined> =>
  orCorrupt(file, headIn(file, info));

/** Bytes that a head holds. */
export const headBytes = ({ weight, bias }: Head): number => weight.byteLength + bias.byteLength;
