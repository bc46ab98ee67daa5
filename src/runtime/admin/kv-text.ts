import type { KvRoom } from '../engine/engine.ts';

const count = (value: number): string => value.toLocaleString('en');

/** What a node has room for, in one sentence. */
export const kvText = ({
  precision,
  bytesPerToken,
  budgetBytes,
  requests,
  tokens,
  because,
}: Omit<KvRoom, 'precision'> & { readonly precision: string }): string => {
  const memory = `${precision}, ${count(bytesPerToken)} bytes per token, ${count(Math.floor(budgetBytes / 2 ** 20))} MiB`;
  const why = because === '' ? '' : `; ${because}`;
  const what = requests === 1 ? 'one request' : `${count(requests)} requests`;
  return `this node runs ${what} of ${count(tokens)} tokens at once (keys and values: ${memory}${why})`;
};

/** The same for a log. */
export const kvFields = (kv: KvRoom): object => {
  const { because, ...room } = kv;
  return { room: kvText(kv), ...room, ...(because === '' ? {} : { because }) };
};
