import type { ModelCard } from '../../serving/serving.ts';

const seconds = (time: string): number => {
  const ms = Date.parse(time);
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : 0;
};

/** OpenAI's model object, with vLLM's `root` and `parent` and what Adaptlet knows of it. */
export const modelObject = (card: ModelCard): object => ({
  id: card.id,
  object: 'model',
  created: seconds(card.createdAt),
  owned_by: 'adaptlet',
  root: card.digest === '' ? null : card.digest,
  parent: card.parent === '' ? null : card.parent,
  kind: card.kind,
  ready: card.ready,
  reason: card.reason,
});
