import { byteMutators, maxInputBytes } from './bytes.ts';
import { boundaries, type Choices, type Mutator } from './choices.ts';

/** Text that stands where a value would: what no value of JSON.parse can say. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** An object as it is written: keys in their order, also twice. */
type Member = [key: string, value: Node];
class Members {
  list: Member[];
  constructor(list: Member[]) {
    this.list = list;
  }
}
type Node = Raw | Members | Node[];

const treeOf = (value: unknown): Node => {
  if (Array.isArray(value)) return value.map(treeOf);
  if (typeof value !== 'object' || value === null) return new Raw(JSON.stringify(value) ?? 'null');
  return new Members(Object.entries(value).map(([key, member]): Member => [key, treeOf(member)]));
};

const textOf = (node: Node): string => {
  if (node instanceof Raw) return node.text;
  if (node instanceof Members)
    return `{${node.list.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`;
  return `[${node.map(textOf).join(',')}]`;
};

/** Names that every object inherits, and what else a name should not be. */
const evilKeys = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'toJSON',
  'then',
  'length',
  '0',
  '-1',
  '',
  'a.b',
  '../../x',
  '\u0000',
  '\ud800',
  'é'.repeat(200),
];

const evilTexts = [
  ...evilKeys,
  '/etc/passwd',
  'C:\\x',
  'x'.repeat(5000),
  '€'.repeat(255),
  '%2e%2e%2f',
  '\u202e',
  'NaN',
  '1e400',
];

const scalars = [
  'null',
  'true',
  'false',
  '{}',
  '[]',
  '""',
  '-0',
  '0.1',
  '-1',
  '1e400',
  '-1e400',
  '1e-400',
  '1E2',
  ...boundaries.map(String),
  // Texts of them are wanted of objects that have none.
  '{"toString":null,"valueOf":null}',
  '{"toJSON":1,"length":-1,"then":1}',
];

const anything = (choices: Choices): Raw => {
  const kind = choices.below(100);
  if (kind < 60) return new Raw(choices.pick(scalars));
  if (kind < 92) return new Raw(JSON.stringify(choices.pick(evilTexts)));
  // What is deep is slow to change further, so it is rare.
  const levels = choices.small(kind < 99 ? 40 : 60_000);
  return choices.chance(0.5)
    ? new Raw('['.repeat(levels) + ']'.repeat(levels))
    : new Raw(`${'{"a":'.repeat(Math.ceil(levels / 3))}1${'}'.repeat(Math.ceil(levels / 3))}`);
};

/** Every place of a tree that holds a value. */
type Place = {
  readonly get: () => Node;
  readonly set: (node: Node) => void;
  readonly owner?: Members | Node[];
  readonly index: number;
};

const placesOf = (root: { node: Node }): readonly Place[] => {
  const places: Place[] = [
    {
      get: () => root.node,
      set: (node) => {
        root.node = node;
      },
      index: 0,
    },
  ];
  const visit = (node: Node): void => {
    if (node instanceof Raw || places.length > 5000) return;
    if (node instanceof Members) {
      for (const [index, member] of node.list.entries()) {
        places.push({
          get: () => member[1],
          set: (value) => {
            member[1] = value;
          },
          owner: node,
          index,
        });
        visit(member[1]);
      }
      return;
    }
    for (const [index, item] of node.entries()) {
      places.push({
        get: () => item,
        set: (value) => {
          node[index] = value;
        },
        owner: node,
        index,
      });
      visit(item);
    }
  };
  visit(root.node);
  return places;
};

/** Its text: a tree that had itself in it would have no end. */
const copyOf = ({ get }: Place): Raw => new Raw(textOf(get()));

const changes: readonly ((place: Place, choices: Choices, places: readonly Place[]) => void)[] = [
  (place, choices) => place.set(anything(choices)),
  (place, choices) => place.set(anything(choices)),
  // Another value of the same text.
  (place, choices, places) => place.set(copyOf(choices.pick(places))),
  // Without it.
  ({ owner, index }) => {
    if (owner instanceof Members) owner.list.splice(index, 1);
    else owner?.splice(index, 1);
  },
  // Twice.
  (place, choices) => {
    const { owner, index } = place;
    if (owner instanceof Members) {
      const [key] = owner.list[index] ?? [''];
      owner.list.push([key, choices.chance(0.5) ? copyOf(place) : anything(choices)]);
      return;
    }
    const copy = copyOf(place);
    owner?.push(
      ...Array.from({ length: choices.small(Math.min(64, 1 + 65_536 / copy.text.length)) }, () => copy),
    );
  },
  // Under another name.
  ({ owner, index }, choices) => {
    if (!(owner instanceof Members)) return;
    const member = owner.list[index];
    if (member !== undefined) member[0] = choices.pick(evilKeys);
  },
  // One more.
  ({ owner }, choices) => {
    if (owner instanceof Members) owner.list.push([choices.pick(evilKeys), anything(choices)]);
    else owner?.push(anything(choices));
  },
  // In a list, or out of one.
  (place) => {
    const node = place.get();
    place.set(Array.isArray(node) && node.length > 0 ? (node[0] ?? node) : [node]);
  },
];

/** What nests deeper is changed as bytes: whether the stack has room for it is not the same every time. */
const maxDepth = 400;

const isTooDeep = (text: string): boolean => {
  let depth = 0;
  for (const character of text) {
    if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') depth--;
    if (depth > maxDepth) return true;
  }
  return false;
};

const mutated = (text: string, choices: Choices): string | undefined => {
  let value: unknown;
  if (isTooDeep(text)) return undefined;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  try {
    const root = { node: treeOf(value) };
    for (let left = choices.small(5); left > 0; left--) {
      const places = placesOf(root);
      choices.pick(changes)(choices.pick(places), choices, places);
    }
    return textOf(root.node);
  } catch (error) {
    // It put a value into itself.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
};

/** Changes values, keys and their number; of what is no JSON, bytes. */
export const json: Mutator = (bytes, choices, other) => {
  const text =
    bytes.length > maxInputBytes ? undefined : mutated(Buffer.from(bytes).toString('utf8'), choices);
  return text === undefined ? choices.pick(byteMutators)(bytes, choices, other) : Buffer.from(text);
};
