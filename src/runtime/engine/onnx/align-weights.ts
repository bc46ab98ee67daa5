import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { entryField, graphField, modelField, tensorField } from './schema.ts';
import { contentField, contentOf, type Field, readFields, textOf } from './wire.ts';

/** A run of bytes that moves from one weights file to another. */
export type Move = { readonly from: number; readonly to: number; readonly length: number };

/** Packed weights are read with aligned vector loads of up to 64 bytes. */
const alignment = 64;

type Entry = { readonly key: string; readonly value: string };

const readEntry = (message: Buffer): Entry => {
  let key = '';
  let value = '';
  for (const field of readFields(message)) {
    if (field.number === entryField.key) key = textOf(message, field);
    if (field.number === entryField.value) value = textOf(message, field);
  }
  return { key, value };
};

const entryMessage = ({ key, value }: Entry): Buffer =>
  Buffer.concat([contentField(entryField.key, key), contentField(entryField.value, value)]);

/** Hands out aligned places in the new file, one after the other. */
class Layout {
  readonly moves: Move[] = [];
  #end = 0;

  place(from: number, length: number): number {
    const to = Math.ceil(this.#end / alignment) * alignment;
    if (![from, length].every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw new AdaptletError('MODEL_INVALID', `Weights at ${from} with ${length} bytes`);
    }
    this.#end = to + length;
    this.moves.push({ from, to, length });
    return to;
  }
}

/** `KEY|offset;length;padding|offset;length;padding…`, as ONNX Runtime writes prepacked buffers. */
const movePrepacked = (value: string, layout: Layout): string => {
  const [key = '', ...buffers] = value.split('|');
  const moved = buffers.map((buffer) => {
    const [offset, length, ...rest] = buffer.split(';');
    const to = layout.place(Number(offset), Number(length));
    return [String(to), length, ...rest].join(';');
  });
  return [key, ...moved].join('|');
};

const moveTensor = (tensor: Buffer, weightsFile: string, layout: Layout): Buffer => {
  const fields = readFields(tensor);
  const external = fields.filter((field) => field.number === tensorField.externalData);
  if (external.length === 0) return tensor;
  const entries = external.map((field) => readEntry(contentOf(tensor, field)));
  const valueOf = (key: string): string | undefined => entries.find((entry) => entry.key === key)?.value;
  const offset = layout.place(Number(valueOf('offset') ?? 0), Number(valueOf('length')));
  const moved = entries
    .filter(({ key }) => key !== 'checksum' && key !== 'location' && key !== 'offset')
    .map((entry) =>
      entry.key.startsWith('prepacked_') ? { ...entry, value: movePrepacked(entry.value, layout) } : entry,
    );
  const all = [{ key: 'location', value: weightsFile }, { key: 'offset', value: String(offset) }, ...moved];
  const kept = fields
    .filter((field) => field.number !== tensorField.externalData)
    .map((field) => tensor.subarray(field.start, field.end));
  return Buffer.concat([
    ...kept,
    ...all.map((entry) => contentField(tensorField.externalData, entryMessage(entry))),
  ]);
};

const replace = (message: Buffer, number: number, change: (content: Buffer) => Buffer): Buffer =>
  Buffer.concat(
    readFields(message).map((field: Field) =>
      field.number === number
        ? contentField(number, change(contentOf(message, field)))
        : message.subarray(field.start, field.end),
    ),
  );

/**
 * Gives each buffer of an optimised graph an aligned place in a new weights file. ONNX Runtime 1.30 writes prepacked
 * buffers end to end, and the kernels of MatMulNBits find the parts of theirs by rounding addresses up: mapped from
 * an odd offset they read the wrong bytes and answer NaN.
 *
 * Returns the graph and what to copy.
 * @throws MODEL_INVALID
 */
export const alignWeights = (
  model: Buffer,
  weightsFile: string,
): { readonly model: Buffer; readonly moves: readonly Move[] } => {
  const layout = new Layout();
  const moved = replace(model, modelField.graph, (graph) =>
    replace(graph, graphField.initializer, (tensor) => moveTensor(tensor, weightsFile, layout)),
  );
  return { model: moved, moves: layout.moves };
};
