import { z } from 'zod';
import type { ReadFile } from './files.ts';
import type { Segment } from './format.ts';

type Tensor = {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes of the file. */
  readonly start: number;
  readonly end: number;
};

/** Bytes of a number; of types that are not known single bytes are compared. */
const widthOf: Readonly<Record<string, Segment['width']>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
};

/** That of the safetensors library (100 MB). */
const maxTensorHeaderBytes = 100_000_000;

const tensor = z.object({
  dtype: z.string(),
  shape: z.array(z.number()),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const schema = z.record(z.string(), z.unknown());

/** Tensors by name; undefined: it is no safetensors file that can be read. Nothing depends on it but the size of a delta. */
const tensorsOf = (file: ReadFile): ReadonlyMap<string, Tensor> | undefined => {
  if (file.size < 8) return undefined;
  const prefix = Buffer.alloc(8);
  file.read(prefix, 0);
  const length = Number(prefix.readBigUInt64LE());
  if (length > maxTensorHeaderBytes || 8 + length > file.size) return undefined;
  const text = Buffer.alloc(length);
  file.read(text, 8);
  let value: unknown;
  try {
    value = JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(parsed.data)) {
    const { data } = tensor.safeParse(entry);
    if (data === undefined) continue;
    const [start, end] = data.data_offsets.map((offset) => 8 + length + offset) as [number, number];
    if (start < end && end <= file.size) tensors.set(name, { ...data, start, end });
  }
  return tensors;
};

const isSameForm = (a: Tensor, b: Tensor): boolean =>
  a.dtype === b.dtype &&
  a.end - a.start === b.end - b.start &&
  a.shape.length === b.shape.length &&
  a.shape.every((size, i) => size === b.shape[i]);

/**
 * What each part of `to` is made of: tensors that `from` has in the same form by its bytes, wherever they lie there, all else
 * verbatim. Parts that follow each other in both files are one.
 */
export const segmentsOf = (from: ReadFile, to: ReadFile): readonly Segment[] => {
  const before = tensorsOf(from) ?? new Map<string, Tensor>();
  const after = tensorsOf(to) ?? new Map<string, Tensor>();
  const segments: Segment[] = [];
  let at = 0;
  const add = (next: Segment): void => {
    const last = segments.at(-1);
    const follows =
      last !== undefined &&
      last.width === next.width &&
      (last.from === undefined ? next.from === undefined : last.from + last.length === next.from);
    if (follows) segments[segments.length - 1] = { ...last, length: last.length + next.length };
    else segments.push(next);
    at += next.length;
  };
  const verbatimTo = (end: number): void => {
    if (end > at) add({ length: end - at, width: 1 });
  };
  for (const [name, { start, end, ...form }] of [...after].sort(([, a], [, b]) => a.start - b.start)) {
    const base = before.get(name);
    const width = widthOf[form.dtype] ?? 1;
    if (base === undefined || !isSameForm(base, { start, end, ...form })) continue;
    // Tensors that overlap are those of a broken file; so are numbers that are cut.
    if (start < at || (end - start) % width !== 0) continue;
    verbatimTo(start);
    add({ length: end - start, from: base.start, width });
  }
  verbatimTo(to.size);
  return segments;
};
