import { isAlias, isMap, isScalar, isSeq, Lexer, type Node, type Pair } from 'yaml';
import type { Path } from './problems.ts';

/** A manifest has fewer than 20 levels. */
export const maxDepth = 32;
/** Nodes of one document after its aliases are expanded; 1 MiB of plain YAML stays below it. */
const maxNodes = 600_000;

export const tooDeep = `is nested more than ${maxDepth} levels deep`;
const tooMany = 'its aliases expand to too much: write the values out';

export type Tree = {
  readonly value: unknown;
  /** Offset in the text of a field, or of the nearest thing around it that is written. */
  readonly offsetOf: (path: Path) => number;
};
export type TreeProblem = { readonly offset: number; readonly reason: string };

class Refusal extends Error {
  readonly problem: TreeProblem;
  constructor(node: unknown, reason: string) {
    super(reason);
    this.problem = { offset: offsetOfNode(node) ?? 0, reason };
  }
}

/** Turns a YAML tree into plain data, within bounds: aliases are followed, repeated keys and cycles are refused. */
export const readTree = (root: Node): Tree | TreeProblem => {
  const reader = new TreeReader();
  try {
    const value = reader.read(root, 0);
    return { value, offsetOf: (path) => reader.offsetOf(root, path) };
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    throw error;
  }
};

class TreeReader {
  #nodes = 0;
  /** The outermost alias that is being followed: the place that a person can change. */
  #via: Node | undefined;
  readonly #anchors = new Map<string, Node>();
  readonly #targets = new Map<Node, Node>();

  read(node: unknown, depth: number): unknown {
    this.#nodes += 1;
    if (this.#nodes > maxNodes) throw new Refusal(this.#via ?? node, tooMany);
    if (depth > maxDepth) throw new Refusal(this.#via ?? node, tooDeep);
    if (isAlias(node)) {
      const outer = this.#via;
      this.#via ??= node;
      const value = this.read(this.#follow(node), depth + 1);
      this.#via = outer;
      return value;
    }
    if (isScalar(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
      return node.value;
    }
    if (isSeq(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
      return node.items.map((item) => this.read(item, depth + 1));
    }
    if (!isMap(node)) return null;
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    const entries = new Map<string, unknown>();
    for (const pair of node.items) {
      const key = keyOf(pair);
      if (entries.has(key))
        throw new Refusal(pair.key, `${key.slice(0, 80)} is written twice in the same map`);
      entries.set(key, this.read(pair.value, depth + 1));
    }
    return Object.fromEntries(entries);
  }

  offsetOf(root: Node, path: Path): number {
    let node: unknown = root;
    let offset = offsetOfNode(root) ?? 0;
    for (const part of path) {
      if (isAlias(node)) node = this.#targets.get(node);
      if (isMap(node)) {
        const pair: Pair | undefined = node.items.find((item) => keyOf(item) === part);
        if (pair === undefined) return offset;
        offset = offsetOfNode(pair.key) ?? offset;
        node = pair.value;
      } else if (isSeq(node) && typeof part === 'number') {
        node = node.items[part];
        offset = offsetOfNode(node) ?? offset;
      } else return offset;
    }
    return offset;
  }

  #follow(alias: Node & { readonly source: string }): Node {
    const target = this.#anchors.get(alias.source);
    if (target === undefined)
      throw new Refusal(alias, `alias *${alias.source.slice(0, 80)} has no anchor before it`);
    this.#targets.set(alias, target);
    return target;
  }
}

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);

const offsetOfNode = (node: unknown): number | undefined =>
  (node as { readonly range?: readonly number[] | null } | null | undefined)?.range?.[0];

const opens = /[[{]/g;

/**
 * True when `[` and `{` are nested deeper than `limit`. Only texts with that many brackets are looked at closely; the
 * YAML parser would spend seconds on a hostile one.
 */
export const flowDepthExceeds = (text: string, limit: number): boolean => {
  if ((text.match(opens)?.length ?? 0) <= limit) return false;
  let depth = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth = Math.max(0, depth - 1);
    if (depth > limit) return true;
  }
  return false;
};
