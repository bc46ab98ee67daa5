import { inputOfEvent } from './reflector-wire.ts';
import { SharedTexts } from './shared-texts.ts';

/** What is made is all that is left, so that its bytes of the heap can be counted; run by shared-texts.test.ts with --expose-gc. */
const text = 'x'.repeat(160);
const call = { method: 'GET', path: '/api/v1/things' };
const type = { group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: true };

/** What a watch says of an object, of JSON of its own. */
const watched = (index: number, message: string): unknown => {
  const metadata = `{"name":"a${index}","uid":"u${index}","resourceVersion":"5"}`;
  const object = `{"metadata":${metadata},"status":{"message":"${message}"}}`;
  return inputOfEvent(call, type, JSON.parse(`{"type":"ADDED","object":${object}}`));
};

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

const makers: Readonly<Record<string, () => unknown>> = {
  'others each': () => range(20_000).map((index) => watched(index, `${text}${100_000 + index}`)),
  'the same': () => range(20_000).map((index) => watched(index, `${text}100000`)),
  remembered: () => {
    const texts = new SharedTexts();
    for (const index of range(200_000)) texts.shareIn([`${index}-${text}`]);
    return texts;
  },
};

const inUse = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};
const make = makers[process.argv[2] ?? ''];
const before = inUse();
const kept = make?.();
const after = inUse();
process.stdout.write(String(kept === undefined ? NaN : after - before));
