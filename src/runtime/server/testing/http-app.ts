import { createHttpApp } from '../http/app.ts';
import { fakeParts } from './parts.ts';

/** The HTTP API over a fake, without a socket. */
export const startFakeHttp = (overrides: Parameters<typeof fakeParts>[0] = {}) => {
  const parts = fakeParts(overrides);
  const app = createHttpApp(parts);
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    app.request(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
      headers: {
        'content-type': 'application/json',
        ...(init.headers as Record<string, string> | undefined),
      },
    });
  return { parts, app, post };
};

/** The data lines of a stream of server-sent events. */
export const dataLines = (text: string): unknown[] =>
  text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''))
    .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));
