import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { elementBytes, elementsOf } from '../ort/tensor.ts';
import type { NamedTensor, TensorSpec } from '../tasks.ts';

const refuse = (what: string): AdaptletError => new AdaptletError('REQUEST_INVALID', what);

/** Dimensions that a message shows: a caller may send any number of them. */
const mostShown = 8;

const shown = (shape: readonly number[]): string =>
  shape.length > mostShown
    ? `[${shape.slice(0, mostShown).join(', ')}, …] of ${shape.length} dimensions`
    : `[${shape.join(', ')}]`;

const checkInput = (input: NamedTensor, spec: TensorSpec): void => {
  const { name, type, shape, data } = input;
  if (type !== spec.type) throw refuse(`input ${name} is ${type}, the model takes ${spec.type}`);
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, at) => size === -1 || size === shape[at]) &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!fits)
    throw refuse(`input ${name} has the shape ${shown(shape)}, the model takes ${shown(spec.shape)}`);
  const bytes = elementsOf(shape) * elementBytes(type);
  if (data.length !== bytes) {
    throw refuse(`input ${name} has ${data.length} bytes of data, its shape ${shown(shape)} needs ${bytes}`);
  }
};

/**
 * The inputs in the order of the graph: each of them once, of its type, its shape and as many bytes as that needs.
 * @throws REQUEST_INVALID
 */
export const inOrder = (
  inputs: readonly NamedTensor[],
  specs: readonly TensorSpec[],
): readonly NamedTensor[] => {
  const known = specs.map(({ name }) => name).join(', ');
  const byName = new Map(inputs.map((input) => [input.name, input]));
  if (byName.size !== inputs.length) throw refuse('an input is there twice');
  const stray = inputs.find(({ name }) => !specs.some((spec) => spec.name === name));
  if (stray !== undefined)
    throw refuse(`input ${quoteUntrusted(stray.name)} is not known; known are ${known}`);
  return specs.map((spec) => {
    const input = byName.get(spec.name);
    if (input === undefined) throw refuse(`input ${spec.name} is missing; needed are ${known}`);
    checkInput(input, spec);
    return input;
  });
};
