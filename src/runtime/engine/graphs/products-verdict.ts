import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurable } from '../../../disk/durable.ts';
import type { Operator } from '../ort/operator.ts';
import { timesText } from '../proofs/products-times.ts';

const stepTimes = z.object({ ratio: z.number(), faster: z.number(), slower: z.number() });

/** What was found of the products of an operator. */
const verdictSchema = z.object({
  /** Absent: they are used. */
  refused: z.string().optional(),
  /** The process that compares them died, for the first time: it is no verdict yet. */
  again: z.literal(true).optional(),
  /** They give ONNX Runtime's products, and took this over its time. Absent: not measured. */
  times: z.object({ token: stepTimes, piece: stepTimes }).optional(),
});
export type ProductsVerdict = z.infer<typeof verdictSchema>;

/** Products of a build of the operator, in one instruction set. */
export type ProductsOf = { readonly digest: string; readonly level: string };

/** The products that an operator uses here. */
export const usedProducts = ({
  digest,
  products,
}: Pick<Operator, 'digest' | 'products'>): ProductsOf | undefined =>
  products === undefined ? undefined : { digest, level: products.levels[0] };

const nameOf = (what: string, { digest, level }: ProductsOf): string =>
  `${what}-${level}-${digest.slice(0, 12)}`;

/** Beside a prepared graph, whose folder is of one kind of processor. */
const verdictFile = (folder: string, of: ProductsOf): string =>
  join(folder, `${nameOf('products', of)}.json`);

/** Counts comparisons that began and neither ended nor were stopped. */
export const unendedFile = (folder: string, of: ProductsOf): string => join(folder, nameOf('comparing', of));

/** What makes them be compared again. */
export const onceDeleted = (folder: string, of: ProductsOf): string =>
  `they are compared again once ${verdictFile(folder, of)} is deleted`;

export const readVerdict = (folder: string, of: ProductsOf): ProductsVerdict | undefined => {
  try {
    return verdictSchema.parse(JSON.parse(readFileSync(verdictFile(folder, of), 'utf8')));
  } catch {
    return undefined;
  }
};

export const writeVerdict = (folder: string, of: ProductsOf, verdict: ProductsVerdict): Promise<void> =>
  writeDurable(verdictFile(folder, of), JSON.stringify(verdict));

const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    // No base model was prepared yet.
    return [];
  }
};

/** What linears have, in words that follow "linears". */
const textOf = (level: string, { refused, times }: ProductsVerdict): string =>
  refused === undefined
    ? `have products of the native operator by ${level}${times === undefined ? '' : `: ${timesText(times)}`}`
    : keptText(refused);

/** Why they keep ONNX Runtime's, as above. */
export const keptText = (refused: string): string => `keep ONNX Runtime's products: ${refused}`;

/** What a cache says of linears, for each prepared graph, in words that follow "linears". `of`: of no other products. */
export const saidOfProducts = (cacheDir: string, of?: ProductsOf): readonly string[] => {
  const root = join(cacheDir, 'prepared');
  return namesIn(root).flatMap((name) =>
    namesIn(join(root, name)).flatMap((file) => {
      const [, level, digest] = /^products-(\w+)-(\w+)\.json$/.exec(file) ?? [];
      if (level === undefined || digest === undefined) return [];
      if (of !== undefined && file !== `${nameOf('products', of)}.json`) return [];
      const verdict = readVerdict(join(root, name), { level, digest });
      return verdict === undefined ? [] : [textOf(level, verdict)];
    }),
  );
};
