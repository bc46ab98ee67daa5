import { crc32 } from 'node:zlib';
import type { Digest } from '../../api/names.ts';
import {
  type CompiledHead,
  type CompiledHeader,
  type CompiledTensor,
  compiledFormat,
  compiledMagic,
  preambleBytes,
  storedBytes,
  tensorAlignment,
} from './compiled-file.ts';
import { memoryLayout, type WeightsInMemory } from './memory-layout.ts';

/** For whom a compiled file is. */
export type CompiledIdentity = {
  readonly adapterDigest: Digest;
  readonly baseDigest: Digest;
  readonly engineVersion: string;
};

/** Where each tensor goes; checksums are still 0. */
export type Layout = { readonly header: CompiledHeader; readonly headerBytes: number };

const align = (offset: number): number => Math.ceil(offset / tensorAlignment) * tensorAlignment;

const kindOf = (module: string): string => module.slice(module.lastIndexOf('.') + 1);

/** A tensor that has no place yet. */
export type Unplaced = Omit<CompiledTensor, 'offset' | 'length' | 'crc32'>;

const place = (unplaced: readonly Unplaced[], start: number): { tensors: CompiledTensor[]; end: number } => {
  const tensors: CompiledTensor[] = [];
  let at = start;
  for (const tensor of unplaced) {
    const offset = align(at);
    const length = storedBytes(tensor);
    tensors.push({ ...tensor, offset, length, crc32: 0 });
    at = offset + length;
  }
  return { tensors, end: at };
};

/** A head that is laid out: its labels, and the features that it takes. */
export type HeadLayout = Pick<CompiledHead, 'labels' | 'activation'> & { readonly features: number };

const headPart = (at: number, values: number) => ({
  offset: align(at),
  length: values * Float32Array.BYTES_PER_ELEMENT,
  crc32: 0,
});

const placeHead = (
  { labels, activation, features }: HeadLayout,
  start: number,
): { readonly head: CompiledHead; readonly end: number } => {
  const weight = headPart(start, labels.length * features);
  const bias = headPart(weight.offset + weight.length, labels.length);
  return { head: { labels, activation, weight, bias }, end: bias.offset + bias.length };
};

/** What an adapter takes in the memory of the engine: its block, and its head on the heap. */
export const ramBytesOf = (
  { tensors, head }: Pick<CompiledHeader, 'tensors' | 'head'>,
  weights: WeightsInMemory,
): number =>
  memoryLayout(tensors, weights).bytes + (head === undefined ? 0 : head.weight.length + head.bias.length);

const encode = (header: CompiledHeader): Uint8Array => new TextEncoder().encode(JSON.stringify(header));

/** The header's length depends on the numbers in it: it is measured with the longest ones and filled up with spaces. */
const headerRoom = (header: CompiledHeader): number => {
  const max = Number.MAX_SAFE_INTEGER;
  const tensors = header.tensors.map((tensor) => ({ ...tensor, offset: max, crc32: 0xff_ff_ff_ff }));
  const part = { offset: max, length: max, crc32: 0xff_ff_ff_ff };
  const head = header.head === undefined ? {} : { head: { ...header.head, weight: part, bias: part } };
  return encode({ ...header, ...head, tensors, fileBytes: max }).length;
};

/** Lays out a compiled file. `targetModules` of the header are kinds (`q_proj`), as PEFT lists them. */
export const layOut = (
  identity: CompiledIdentity,
  unplaced: readonly Unplaced[],
  classifier?: HeadLayout,
): Layout => {
  const header = (start: number): CompiledHeader => {
    const { tensors, end } = place(unplaced, start);
    const headed = classifier === undefined ? undefined : placeHead(classifier, end);
    return {
      format: compiledFormat,
      ...identity,
      rank: Math.max(...unplaced.map(({ shape }) => shape[0])),
      targetModules: [...new Set(unplaced.map(({ module }) => kindOf(module)))].sort(),
      tensors,
      ...(headed === undefined ? {} : { head: headed.head }),
      fileBytes: headed?.end ?? end,
    };
  };
  const headerBytes = headerRoom(header(0));
  return { header: header(preambleBytes + headerBytes), headerBytes };
};

/** Fills in the checksums and writes preamble and header into `file`, whose tensors are already there. */
export const seal = (layout: Layout, file: Buffer): CompiledHeader => {
  const summed = <T extends { readonly offset: number; readonly length: number }>(part: T) => ({
    ...part,
    crc32: crc32(file.subarray(part.offset, part.offset + part.length)),
  });
  const { head } = layout.header;
  const header = {
    ...layout.header,
    tensors: layout.header.tensors.map(summed),
    ...(head === undefined
      ? {}
      : { head: { ...head, weight: summed(head.weight), bias: summed(head.bias) } }),
  };
  const room = file.subarray(preambleBytes, preambleBytes + layout.headerBytes);
  room.fill(' ');
  room.set(encode(header));
  file.write(compiledMagic, 0, 'latin1');
  file.writeUInt32LE(layout.headerBytes, 8);
  file.writeUInt32LE(crc32(room), 12);
  return header;
};
