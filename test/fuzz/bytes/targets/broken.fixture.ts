import { must, type Target, textOf } from '../target.ts';

const held: Uint8Array[] = [];

/** What a reader does wrong with an input that has a z. */
const faults: Readonly<Record<string, () => void>> = {
  throws: () => {
    throw new TypeError('x is not a function');
  },
  hangs: () => {
    for (;;);
  },
  'takes all memory': () => {
    const lists: unknown[] = [];
    for (;;) lists.push(Array.from({ length: 1000 }, (_, index) => ({ index })));
  },
  'allocates more than it may': () => {
    held.push(new Uint8Array(128 * 1024 * 1024));
  },
  'breaks what holds': () => must(false, 'it has the letter z'),
};

/** Readers with one fault each, on which a run is tried. */
export const brokenTargets: readonly Target[] = Object.entries(faults).map(([what, fault]) => ({
  name: `test: ${what}`,
  reads: '',
  examples: () => [Buffer.from('abc'), Buffer.from('xy{')],
  mutators: [(bytes, choices) => Buffer.concat([bytes, Buffer.from(choices.chance(0.01) ? 'z' : 'a')])],
  codes: [],
  run: (bytes) => {
    if (textOf(bytes).includes('z')) fault();
    return '';
  },
}));
