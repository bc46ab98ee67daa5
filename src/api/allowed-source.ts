import { imageRepository } from './image.ts';
import type { PolicySpec } from './policy.ts';
import type { Source } from './source.ts';

/**
 * Why a policy does not allow a source, or the template of one; undefined: it does. What is allowed is compared by whole
 * parts between slashes, hosts without regard to case. Of a template only the parts before `{user}` count. Lists of web addresses
 * and of repositories of the hub are younger than the others: where those limit something and these are absent, these allow nothing.
 *
 * @param policy namespace/name, for the text
 */
export const refusalOfSource = (
  sources: PolicySpec['sources'],
  source: Source,
  policy: string,
): string | undefined => {
  const { name, what, list, allows } = askedOf(sources, source);
  if (list === undefined || allows(list)) return undefined;
  return `${what} is not below what the policy ${policy} allows in spec.sources.${name}: ${listed(list)}`;
};

type Asked = {
  /** Of the list that counts. */
  readonly name: keyof PolicySpec['sources'];
  readonly what: string;
  readonly list: readonly string[] | undefined;
  readonly allows: (list: readonly string[]) => boolean;
};

const askedOf = (sources: PolicySpec['sources'], { oci, path, http, huggingFace }: Source): Asked => {
  const { registries, paths } = sources;
  const ofYounger = registries === undefined && paths === undefined ? undefined : [];
  if (oci !== undefined) {
    const parts = partsOfImage(imageRepository(oci.image));
    const allows = (list: readonly string[]): boolean => isBelow(parts, list, partsOfImage);
    return { name: 'registries', what: oci.image, list: registries, allows };
  }
  if (http !== undefined) {
    const url = new URL(http.url);
    // A server may take an encoded slash for one.
    const isPlain = !/%2f|%5c/i.test(url.pathname);
    const allows = (list: readonly string[]): boolean =>
      isPlain && isBelow(partsOfUrl(url), list, partsOfAddress);
    const what = `${url.origin}${url.pathname}`;
    return { name: 'urls', what, list: sources.urls ?? ofYounger, allows };
  }
  if (huggingFace !== undefined) {
    const parts = partsOf(huggingFace.repo.toLowerCase());
    const allows = (list: readonly string[]): boolean =>
      isBelow(parts, list, (text) => partsOf(text.toLowerCase()));
    const what = `the repository ${huggingFace.repo}`;
    return { name: 'huggingFace', what, list: sources.huggingFace ?? ofYounger, allows };
  }
  const folder = path?.path ?? '';
  const allows = (list: readonly string[]): boolean => isBelow(partsOf(folder), list, partsOf);
  return { name: 'paths', what: `the path ${folder}`, list: paths, allows };
};

const isBelow = (
  parts: readonly string[],
  allowed: readonly string[],
  split: (text: string) => readonly string[],
): boolean => allowed.some((one) => split(one).every((part, index) => part === parts[index]));

const partsOf = (path: string): readonly string[] => path.split('/');

const partsOfUrl = ({ origin, pathname }: URL): readonly string[] => [
  origin,
  ...pathname.split('/').filter((part) => part !== ''),
];

/** What is no address allows nothing. */
const partsOfAddress = (address: string): readonly string[] =>
  URL.canParse(address) ? partsOfUrl(new URL(address)) : [address];

const partsOfImage = (repository: string): readonly string[] => {
  const [host = '', ...rest] = repository.split('/');
  return [host.toLowerCase(), ...rest];
};

const listed = (allowed: readonly string[]): string => (allowed.length === 0 ? 'none' : allowed.join(', '));
