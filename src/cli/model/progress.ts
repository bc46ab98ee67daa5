/** Milliseconds between two lines of progress. */
const lineMs = 2_000;

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

/** Lines of progress on stderr, some seconds apart. */
export const progressLines = (
  verb: string,
  now: () => number,
  write: (text: string) => void,
): ((bytes: number, total: number) => void) => {
  let last = now();
  return (bytes, total) => {
    if (now() - last < lineMs) return;
    last = now();
    write(`${verb} ${mebibytes(bytes)} of ${mebibytes(total)} MiB\n`);
  };
};

export const sizeText = (bytes: number): string => `${mebibytes(bytes)} MiB`;
