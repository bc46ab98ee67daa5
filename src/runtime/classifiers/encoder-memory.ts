import { AdaptletError } from '../../errors/adaptlet-error.ts';

const mebibyte = 1024 * 1024;
/** Of what the process of the encoder may take, for heads. */
const headShare = 1 / 4;
const mostHeadBytes = 128 * mebibyte;

/** RAM of all heads and adapters in an encoder whose process may take `classifierMemory`. Bytes. */
export const headBytesOf = (classifierMemory: number): number =>
  Math.min(mostHeadBytes, Math.floor(classifierMemory * headShare));

const mebibytes = (bytes: number): number => Math.ceil(bytes / mebibyte);

/** Why an encoder cannot be used whose process takes so much once it is loaded; undefined: it can. Bytes. */
export const tooLarge = (residentBytes: number, classifierMemory: number): AdaptletError | undefined => {
  const forHeads = headBytesOf(classifierMemory);
  if (residentBytes + forHeads <= classifierMemory) return undefined;
  const enough = Math.min(residentBytes / (1 - headShare), residentBytes + mostHeadBytes);
  return new AdaptletError(
    'CLASSIFIER_MEMORY',
    `the process of the encoder takes ${mebibytes(residentBytes)} MiB and ${mebibytes(forHeads)} MiB are for heads, more than the ${mebibytes(classifierMemory)} MiB of --classifier-memory`,
    {
      advice: `Set --classifier-memory (in the chart runtime.classifiers.memory) to ${mebibytes(enough)}Mi or more, with a limit of memory that has it, or take a smaller encoder, such as one in 8 bits.`,
    },
  );
};
