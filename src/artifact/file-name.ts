import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

const maxNameLength = 255;
const maxDepth = 8;
// oxlint-disable-next-line no-control-regex
const part = /^[^/\\\u0000-\u001f\u007f]+$/;

/**
 * A relative path that stays below its folder on every system: no `..`, no absolute path, no drive, no backslash, no
 * control character. A leading `./` is dropped.
 * @throws AdaptletError ARTIFACT_FILE_REFUSED
 */
export const safeName = (name: string, where: string): string => {
  const parts = name.replace(/^(\.\/)+/, '').split('/');
  const safe =
    name.length <= maxNameLength &&
    parts.length <= maxDepth &&
    parts.every((p) => part.test(p) && p !== '.' && p !== '..' && !/^[A-Za-z]:/.test(p));
  if (!safe)
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${where} has a file named ${quoteUntrusted(name)}`);
  return parts.join('/');
};
