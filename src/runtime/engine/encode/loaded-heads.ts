import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledHead } from '../../compiled/compiled-file.ts';
import { readCompiledHeader } from '../../compiled/read-header.ts';
import type { EncoderInfo } from '../tasks.ts';
import type { Head } from './head.ts';

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

/**
 * The classification head of a compiled file, every byte checked; undefined where it has none. It is small, and stays on
 * the heap: nothing moves it.
 *
 * Errors: COMPILED_FILE_CORRUPT, and those of the file system.
 */
export const readHead = async (
  file: string,
  { headFeatures = 0 }: EncoderInfo,
): Promise<Head | undefined> => {
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

/** Bytes that a head holds. */
export const headBytes = ({ weight, bias }: Head): number => weight.byteLength + bias.byteLength;
