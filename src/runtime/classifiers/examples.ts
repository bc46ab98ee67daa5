import { likeness, prototypesOf } from './prototypes.ts';
import type { Scorer } from './scorer.ts';
import { probabilities } from './softmax.ts';
import type { StaticTable } from './static-table.ts';

export type LabelExamples = { readonly name: string; readonly texts: readonly string[] };

/**
 * Compares texts with the examples of each label; without labels, by the head that the table was distilled with.
 * @throws RangeError when a label has no example that the table knows a word of, or there is no head
 */
export const compileExamples = (
  table: StaticTable,
  labels: readonly LabelExamples[] | undefined,
  maxTokens: number,
): Scorer => {
  if (labels === undefined) return byHead(table);
  const known = labels.map(({ name, texts }) => {
    const vectors = texts.flatMap((text) => table.embed(text, maxTokens) ?? []);
    if (vectors.length === 0) throw new RangeError(`the label ${name} has no example`);
    return { name, prototypes: prototypesOf(vectors) };
  });
  return {
    labels: known.map(({ name }) => name),
    score(text, most) {
      const vector = table.embed(text, most);
      return (
        vector && known.map(({ name, prototypes }) => ({ label: name, score: likeness(vector, prototypes) }))
      );
    },
  };
};

const byHead = (table: StaticTable): Scorer => {
  const { head } = table;
  if (head === undefined) {
    throw new RangeError('its artifact has no head: give the classifier labels with examples');
  }
  return {
    labels: head.labels,
    score(text, maxTokens) {
      const vector = table.embed(text, maxTokens);
      if (vector === undefined) return undefined;
      const shares = probabilities(head, vector);
      return head.labels.map((label, index) => ({ label, score: shares[index] ?? 0 }));
    },
  };
};
