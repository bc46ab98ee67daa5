/** Milliseconds between two looks of a person at the line. */
const gapMs = 200;

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

export const sizeText = (bytes: number): string => `${mebibytes(bytes)} MiB`;

/** Bytes, rate and time left of a transfer that had `first` bytes when it began. Pure. */
export const progressText = (
  verb: string,
  { first, bytes, total, ms }: { first: number; bytes: number; total: number; ms: number },
): string => {
  const done = `${verb} ${mebibytes(bytes)} of ${sizeText(total)}`;
  const rate = ms > 0 ? ((bytes - first) / ms) * 1000 : 0;
  if (rate === 0) return done;
  return `${done}, ${sizeText(rate)}/s, ${Math.ceil((total - bytes) / rate)} s left`;
};

/** One line on a terminal that is written over, and taken away when disposed. Elsewhere nothing is written. */
export const progressLine = (
  verb: string,
  now: () => number,
  to: { readonly isTTY?: boolean; write(text: string): unknown },
): Disposable & { readonly tell: (bytes: number, total: number) => void } => {
  if (to.isTTY !== true) return { tell: () => undefined, [Symbol.dispose]: () => undefined };
  const start = now();
  let first: number | undefined;
  let last = start;
  const rewrite = (text: string): unknown => to.write(`\r${text}\u001b[K`);
  return {
    tell: (bytes, total) => {
      first ??= bytes;
      if (now() - last < gapMs) return;
      last = now();
      rewrite(progressText(verb, { first, bytes, total, ms: last - start }));
    },
    [Symbol.dispose]: () => void rewrite(''),
  };
};
