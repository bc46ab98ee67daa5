import { elementBytes, elementsOf } from '../ort/tensor.ts';
import type { NamedTensor } from '../tasks.ts';

const rowsOf = ({ shape }: NamedTensor): number => shape[0] ?? 0;

const bytesPerRow = ({ type, shape }: NamedTensor): number => elementsOf(shape.slice(1)) * elementBytes(type);

/** Rows of all inputs of a request, or undefined when they are not the same. */
export const commonRows = (inputs: readonly NamedTensor[]): number | undefined => {
  const [first] = inputs;
  const rows = first?.shape[0];
  return rows !== undefined && inputs.every(({ shape }) => shape[0] === rows) ? rows : undefined;
};

/** What may be run together: tensors that differ in their first dimension only. */
export const formOf = (inputs: readonly NamedTensor[]): string =>
  inputs.map(({ name, type, shape }) => `${name} ${type} ${shape.slice(1).join('x')}`).join('\n');

/** The rows of several requests one after the other. All have the same names in the same order. */
export const joinRows = (requests: readonly (readonly NamedTensor[])[]): readonly NamedTensor[] => {
  const [first = []] = requests;
  return first.map((tensor, index) => {
    const parts = requests.flatMap((inputs) => inputs[index] ?? []);
    const rows = parts.reduce((sum, part) => sum + rowsOf(part), 0);
    const data = new Uint8Array(parts.reduce((sum, part) => sum + part.data.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part.data, at);
      at += part.data.length;
    }
    return { ...tensor, shape: [rows, ...tensor.shape.slice(1)], data };
  });
};

/** Gives each request its rows again; undefined when the outputs have another number of rows. */
export const splitRows = (
  outputs: readonly NamedTensor[],
  counts: readonly number[],
): readonly (readonly NamedTensor[])[] | undefined => {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (outputs.some((output) => output.shape[0] !== total)) return undefined;
  let row = 0;
  return counts.map((count) => {
    const from = row;
    row += count;
    return outputs.map((output) => {
      const bytes = bytesPerRow(output);
      return {
        ...output,
        shape: [count, ...output.shape.slice(1)],
        data: output.data.slice(from * bytes, (from + count) * bytes),
      };
    });
  });
};
