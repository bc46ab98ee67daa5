/** One tensor of a file that is written. */
export type FileTensor = {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
};

/** Bytes that the data section begins at a multiple of, as the reference implementation has it. */
const alignment = 8;

const elementBytes = ({ data, shape }: FileTensor): number =>
  data.length /
  Math.max(
    1,
    shape.reduce((product, size) => product * size, 1),
  );

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;

/** Lays tensors out as the reference implementation does: largest elements first, so that each is aligned, then by name. */
export const safetensorsFile = (
  tensors: readonly FileTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array => {
  const ordered = tensors.toSorted((a, b) => elementBytes(b) - elementBytes(a) || byName(a, b));
  const header: [name: string, value: unknown][] = [['__metadata__', metadata]];
  let end = 0;
  for (const { name, dtype, shape, data } of ordered) {
    header.push([name, { dtype, shape, data_offsets: [end, end + data.length] }]);
    end += data.length;
  }
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const room = Math.ceil(text.length / alignment) * alignment;
  const file = Buffer.alloc(8 + room + end, ' ');
  file.writeBigUInt64LE(BigInt(room));
  file.set(text, 8);
  let at = 8 + room;
  for (const { data } of ordered) {
    file.set(data, at);
    at += data.length;
  }
  return file;
};
