import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import type { AttentionNode } from '../onnx/attention-operator.ts';
import { windowOf, withWindow } from '../onnx/attention-windows.ts';
import { nodeField } from '../onnx/schema.ts';
import { readFields } from '../onnx/wire.ts';
import type { Operator } from '../ort/operator.ts';
import { machineKey, onnxRuntimeVersion } from '../session/runtime-options.ts';
import { joined, LoneAttention, room } from './lone-attention.ts';
import { distance } from './row-answers.ts';
import type { ProofOptions } from './wiring.ts';

/** How far attention by the native operator may be from ONNX Runtime's, as a share of the largest value. */
const nearAttention = 2e-5;

/** Sums of the pieces of one row one after the other, with the keys and values that they leave. */
const inPieces = async (
  lone: LoneAttention,
  row: number,
  pieces: readonly number[],
): Promise<Float32Array> => {
  let before = 0;
  const sums: Float32Array[] = [];
  for (const tokens of pieces) {
    sums.push(await lone.step({ before: [before], tokens }, row));
    before += tokens;
  }
  return joined([...sums, lone.kept(row, before)]);
};

const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

const check = (good: boolean, what: string): void => {
  if (!good) throw new Error(`attention by the native operator ${what}`);
};

const near = (own: Float32Array, theirs: Float32Array, share: number): boolean =>
  distance(own, theirs) <= share * theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const pieces = [70, 1, 1, 5, 2, 64, 1];
const total = pieces.reduce((sum, count) => sum + count, 0);
/** Tokens of a window that begins and ends within blocks of keys, and that the pieces leave. */
const boundWindow = 67;

type Proof = Pick<ProofOptions, 'cacheDir' | 'doing'> & {
  /** Told when the verdict cannot be kept. */
  readonly warn: (message: string) => void;
  readonly threads: number;
  readonly operator: Operator;
  /** Default: {@link nearAttention}. */
  readonly share?: number | undefined;
};

const proveOne = async (
  of: AttentionNode,
  { threads, operator, share = nearAttention }: Proof,
): Promise<void> => {
  const theirs = await LoneAttention.open(of, threads);
  const own = await LoneAttention.open(of, threads, operator).catch((error: unknown) => {
    theirs.release();
    throw error;
  });
  try {
    const expected = await inPieces(theirs, 0, pieces);
    const answer = await inPieces(own, 0, pieces);
    check(near(answer, expected, share), `is ${distance(answer, expected)} from ONNX Runtime's`);
    own.clear();
    const atOnce = await inPieces(own, 0, [total]);
    check(sameBits(atOnce, answer), 'gives a token other bits at once than in pieces');
    await inPieces(own, 1, [33]);
    const rows = [total, 33];
    const together = await own.step({ before: rows, tokens: 1 });
    const apart: Float32Array[] = [];
    for (const [row, before] of rows.entries())
      apart.push(await own.step({ before: [before], tokens: 1 }, row));
    check(sameBits(together, joined(apart)), 'gives a row other bits beside another one');
    await inPieces(theirs, 1, [33]);
    const others = await theirs.step({ before: rows, tokens: 1 });
    check(near(together, others, share), `is ${distance(together, others)} from ONNX Runtime's in rows`);
  } finally {
    own.release();
    theirs.release();
  }
};

/** What of a node decides what it computes. */
const kindOf = ({ node, ...sizes }: AttentionNode): string =>
  JSON.stringify([
    node.inputs.map((name) => name !== ''),
    sizes,
    readFields(node.bytes)
      .filter(({ number }) => number === nodeField.attribute)
      .map(({ start, end }) => node.bytes.subarray(start, end).toString('hex'))
      .toSorted(),
  ]);

/** The node, and with a small window where the pieces stay within its own or hardly leave it. */
export const provedAs = (of: AttentionNode): readonly AttentionNode[] => {
  if ((windowOf(of.node) ?? 0) <= 2 * boundWindow) return [of];
  return [of, { ...of, node: { ...of.node, bytes: withWindow(of.node, boundWindow) } }];
};

/**
 * Proves that attention by the native operator gives nearly what ONNX Runtime's gives, and each token the same bits in whatever
 * piece and beside whatever row: on random numbers, for each kind of node. The verdict is kept in `cacheDir`.
 * @throws an Error when it does not
 */
export const proveAttention = async (nodes: readonly AttentionNode[], proof: Proof): Promise<void> => {
  const kinds = new Map(nodes.map((node) => [kindOf(node), node]));
  const { operator, threads, cacheDir, doing, warn, share = nearAttention } = proof;
  const of = [
    ...kinds.keys(),
    operator.digest,
    operator.instructionSet,
    onnxRuntimeVersion,
    machineKey(),
    threads,
    JSON.stringify([pieces, room, boundWindow, share]),
  ];
  const verdict = join(cacheDir, 'attention', createHash('sha256').update(of.join('\n')).digest('hex'));
  if (existsSync(verdict)) return;
  doing('proving that attention by the native operator is near ONNX Runtime’s, once');
  for (const node of [...kinds.values()].flatMap(provedAs)) await proveOne(node, proof);
  await writeDurable(
    verdict,
    'attention is near, and each token has the same bits in any piece and row\n',
  ).catch((error: unknown) =>
    warn(`that attention was proved is not kept, and the next start proves it again: ${String(error)}`),
  );
};
