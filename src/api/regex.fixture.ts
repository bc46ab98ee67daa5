import { compileRegex } from './regex.ts';

/** Prints how many bytes of the heap eight patterns keep that have more states than they may; run by regex.test.ts with --expose-gc. */
const inUse = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};
let state = 1;
const letters = Array.from({ length: 4000 }, () => {
  state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
  return state > 2 ** 30 ? 'a' : 'b';
}).join('');
const before = inUse();
const patterns = Array.from({ length: 8 }, (_, at) => compileRegex(`[ab]*a[ab]{${100 + at}}[cd]`));
const found = patterns.filter((pattern) => pattern.test(letters));
const after = inUse();
const isTold = found.length === 0 && patterns.every((one) => one.test(`${'a'.repeat(200)}c`));
process.stdout.write(String(isTold ? after - before : NaN));
