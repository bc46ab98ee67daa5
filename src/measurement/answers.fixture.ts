/** What a server was asked. */
export type Asked = { readonly url: string; readonly method: string; readonly body: string };

/** A `fetch` with one answer for everything, and what it was asked. */
export const answering = (
  body: string,
  { status = 200, type = 'application/json' }: { readonly status?: number; readonly type?: string } = {},
): { readonly fetch: typeof fetch; readonly asked: Asked[] } => {
  const asked: Asked[] = [];
  return {
    asked,
    fetch: (input, init) => {
      const sent = init?.body instanceof URLSearchParams ? init.body.toString() : '';
      const url = input instanceof Request ? input.url : input.toString();
      asked.push({ url, method: init?.method ?? 'GET', body: sent });
      return Promise.resolve(new Response(body, { status, headers: { 'content-type': type } }));
    },
  };
};

/** The same with an answer of JSON. */
export const answeringJson = (value: unknown, status = 200) => answering(JSON.stringify(value), { status });
