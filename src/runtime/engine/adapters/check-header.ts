import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import {
  type CompiledHeader,
  type CompiledTensor,
  storedBytes,
  tensorAlignment,
} from '../../compiled/compiled-file.ts';

/** What a compiled file must have been made for. */
export type Expected = {
  readonly baseDigest: Digest;
  readonly engineVersion: string;
  readonly sites: readonly Site[];
};

const corrupt = (file: string, what: string): AdaptletError =>
  new AdaptletError('COMPILED_FILE_CORRUPT', `${file}: ${what}`);

const checkPlace = (file: string, tensor: CompiledTensor, from: number, fileBytes: number): void => {
  const { module, half, shape, dtype, offset, length } = tensor;
  const label = `${module} ${half}`;
  if (length !== storedBytes(tensor)) {
    throw corrupt(file, `${label} has ${length} bytes for ${dtype} of the shape [${shape.join(', ')}]`);
  }
  if (offset % tensorAlignment !== 0 || offset < from || offset + length > fileBytes) {
    throw corrupt(
      file,
      `${label} at ${offset} with ${length} bytes overlaps another or lies outside the file`,
    );
  }
};

/** Every pair is whole, of one rank, and of the shape of its linear. */
const checkPairs = (file: string, tensors: readonly CompiledTensor[], sites: readonly Site[]): void => {
  const siteOf = new Map(sites.map((site) => [site.module, site]));
  const halves = new Map<string, CompiledTensor>();
  for (const tensor of tensors) {
    const label = `${tensor.module} ${tensor.half}`;
    if (halves.has(label)) throw corrupt(file, `${label} is there twice`);
    halves.set(label, tensor);
  }
  for (const { module } of tensors) {
    const site = siteOf.get(module);
    const a = halves.get(`${module} A`);
    const b = halves.get(`${module} B`);
    if (site === undefined) throw corrupt(file, `the base model has no linear ${module}`);
    if (a === undefined || b === undefined) throw corrupt(file, `${module} lacks half of its pair`);
    const rank = a.shape[0];
    if (
      rank < 1 ||
      a.shape[1] !== site.inFeatures ||
      b.shape[1] !== site.outFeatures ||
      b.shape[0] !== rank
    ) {
      throw corrupt(file, `${module} has the shapes [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`);
    }
    for (const name of ['factors', 'shifts']) {
      const vector = halves.get(`${module} ${name}`);
      if (vector === undefined) continue;
      const { dtype, scale, shape } = vector;
      if (dtype !== 'float32' || scale !== 1 || shape[0] !== 1 || shape[1] !== site.outFeatures)
        throw corrupt(file, `${module} has ${name} of ${dtype} and the shape [${shape.join(', ')}]`);
    }
  }
};

/**
 * Checks everything about a compiled file but the values.
 * @throws COMPILED_FILE_STALE when it is for another base model or engine, COMPILED_FILE_CORRUPT
 */
export const checkHeader = (file: string, header: CompiledHeader, expected: Expected): void => {
  if (header.baseDigest !== expected.baseDigest || header.engineVersion !== expected.engineVersion) {
    throw new AdaptletError(
      'COMPILED_FILE_STALE',
      `${file} is for the base model ${header.baseDigest} and engine ${header.engineVersion}; here are ${expected.baseDigest} and ${expected.engineVersion}`,
    );
  }
  if (header.tensors.length === 0) throw corrupt(file, 'it has no tensors');
  let end = 0;
  for (const tensor of header.tensors.toSorted((x, y) => x.offset - y.offset)) {
    checkPlace(file, tensor, end, header.fileBytes);
    end = tensor.offset + tensor.length;
  }
  checkPairs(file, header.tensors, expected.sites);
};
