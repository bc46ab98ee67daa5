import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

/** Of a path in characters, and of each of its parts in bytes, which is what disks take. */
const maxNameLength = 255;
const maxPartBytes = 255;
const maxDepth = 8;
// oxlint-disable-next-line no-control-regex
const part = /^[^/\\\u0000-\u001f\u007f]+$/;

/** A file or folder has the name of a file, or a file that of one of its folders. */
export const isTaken = (error: unknown): boolean =>
  ['EEXIST', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '');

/**
 * A relative path that stays below its folder on every system: no `..`, no absolute path, no drive, no backslash, no
 * control character, no part that is longer than disks take. A leading `./` is dropped.
 * @throws AdaptletError ARTIFACT_FILE_REFUSED
 */
export const safeName = (name: string, where: string): string => {
  const parts = name.replace(/^(\.\/)+/, '').split('/');
  const safe =
    name.length <= maxNameLength &&
    // Half of a surrogate pair would be written as another character.
    name.isWellFormed() &&
    parts.length <= maxDepth &&
    parts.every(
      (p) =>
        part.test(p) &&
        p !== '.' &&
        p !== '..' &&
        !/^[A-Za-z]:/.test(p) &&
        Buffer.byteLength(p) <= maxPartBytes,
    );
  if (!safe)
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${where} has a file named ${quoteUntrusted(name)}`);
  return parts.join('/');
};
