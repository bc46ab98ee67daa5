/** Calls etcd's API over HTTP (its gRPC gateway). */
const call = async (server: string, path: string, body: unknown): Promise<unknown> => {
  const response = await fetch(`${server}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Compacts to the newest revision, so that no older one can be read. */
export const compact = async (server: string): Promise<void> => {
  const newest = (await call(server, '/v3/kv/range', { key: base64('compact_rev_key') })) as {
    header: { revision: string };
  };
  await call(server, '/v3/kv/compaction', { revision: newest.header.revision, physical: true });
};
