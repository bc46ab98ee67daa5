import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';

const isIdentity = (coding: string): boolean => coding === '' || coding.toLowerCase() === 'identity';

/**
 * Takes the content-encoding of a body only where it changes nothing. Compressed bodies are not read: a few KiB of one may become as
 * many MiB, and to decompress it is work for whoever asks.
 * @throws BODY_ENCODED
 */
export const needIdentity = (contentEncoding: string | undefined): void => {
  const coding = contentEncoding
    ?.split(',')
    .map((part) => part.trim())
    .find((part) => !isIdentity(part));
  if (coding !== undefined)
    throw new AdaptletError('BODY_ENCODED', `the content-encoding ${quoteUntrusted(coding)} is not read`);
};
