import { imageRepository } from './image.ts';
import type { PolicySpec } from './policy.ts';
import type { Source } from './source.ts';

/**
 * Why a policy does not allow a source, or the template of one; undefined: it does. What is allowed is compared by whole
 * parts between slashes, the host of a registry without regard to case. Of a template only the parts before `{user}` count.
 *
 * @param policy namespace/name, for the text
 */
export const refusalOfSource = (
  sources: PolicySpec['sources'],
  { oci, path }: Source,
  policy: string,
): string | undefined => {
  if (oci !== undefined) {
    const allowed = sources.registries;
    if (allowed === undefined || isBelow(partsOfImage(imageRepository(oci.image)), allowed, partsOfImage))
      return undefined;
    return `${oci.image} is not below what the policy ${policy} allows in spec.sources.registries: ${listed(allowed)}`;
  }
  const allowed = sources.paths;
  const folder = path?.path ?? '';
  if (allowed === undefined || isBelow(partsOf(folder), allowed, partsOf)) return undefined;
  return `the path ${folder} is not below what the policy ${policy} allows in spec.sources.paths: ${listed(allowed)}`;
};

const isBelow = (
  parts: readonly string[],
  allowed: readonly string[],
  split: (text: string) => readonly string[],
): boolean => allowed.some((one) => split(one).every((part, index) => part === parts[index]));

const partsOf = (path: string): readonly string[] => path.split('/');

const partsOfImage = (repository: string): readonly string[] => {
  const [host = '', ...rest] = repository.split('/');
  return [host.toLowerCase(), ...rest];
};

const listed = (allowed: readonly string[]): string => (allowed.length === 0 ? 'none' : allowed.join(', '));
