import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A list in fewer entries is told as a whole: hashes of its parts would be no shorter. */
const leastEntries = 256;
/** Entries of a part of a long list, on average. */
const perPart = 32;
const mostParts = 256;
/** Most parts that another side may choose. */
export const maxParts = 4_096;
/** Bytes of a SHA-256. */
const hashBytes = 32;

/** In how many parts a list of that many entries is compared; 0: in none. A power of two. */
export const partsFor = (entries: number): number =>
  entries < leastEntries ? 0 : Math.min(mostParts, 2 ** Math.ceil(Math.log2(entries / perPart)));

/** Where an entry belongs, whoever has the list. */
export const partOf = (key: string, parts: number): number => crc32(key) % parts;

/**
 * SHA-256 of each part of a list: of the texts of its entries, in the order of keys. Equal hashes, equal entries, where no
 * two lists of texts are the same text.
 */
export const partHashesOf = (
  entries: Iterable<readonly [string, string | Uint8Array]>,
  parts: number,
): Buffer[] => {
  const hashes = Array.from({ length: parts }, () => createHash('sha256'));
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  for (const [key, text] of sorted) hashes[partOf(key, parts)]?.update(text);
  return hashes.map((hash) => hash.digest());
};

/** The parts in which two lists are the same. */
export const samePartsOf = (ours: readonly Uint8Array[], theirs: readonly Uint8Array[]): number[] =>
  ours.flatMap((hash, part) => {
    const other = theirs[part];
    return other !== undefined && Buffer.compare(hash, other) === 0 ? [part] : [];
  });

/** False: these are no hashes of parts, or there are none. */
export const arePartHashes = (hashes: readonly Uint8Array[]): boolean =>
  hashes.length > 0 && hashes.length <= maxParts && hashes.every(({ length }) => length === hashBytes);

/** The parts that the other side names; undefined: it names one twice, or one that there is not. */
export const partsNamed = (named: readonly number[], parts: number): ReadonlySet<number> | undefined => {
  const all = new Set(named);
  return all.size === named.length && named.every((part) => part < parts) ? all : undefined;
};
