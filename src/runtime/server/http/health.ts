import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import type { MetricsAccess } from '../../../telemetry/metrics-access.ts';
import type { Parts } from '../exchange.ts';
import { endUnfinished } from './linger.ts';

export type HealthParts = Pick<Parts, 'serving' | 'telemetry' | 'clock'>;

/** Adds what kubelets ask for. */
export const addHealth = (app: Hono, { serving }: Pick<HealthParts, 'serving'>): void => {
  app.get('/livez', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const { ok, reason } = serving.ready();
    return ok ? c.text('ok\n') : c.text(`${reason}\n`, 503);
  });
};

/** Adds what Prometheus asks for. It names adapters of all namespaces. `access` absent: everybody may read it. */
export const addMetrics = (
  app: Hono,
  { telemetry, access }: Pick<HealthParts, 'telemetry'> & { readonly access?: MetricsAccess },
): void => {
  app.get('/metrics', async (c) => {
    const { incoming } = (c.env ?? {}) as Partial<HttpBindings>;
    const verdict = await access?.({
      address: incoming?.socket.remoteAddress ?? '',
      authorization: c.req.header('authorization') ?? '',
    });
    if (verdict !== undefined && verdict.status !== 200)
      return c.text(verdict.message, verdict.status, { ...verdict.headers });
    return c.body(await telemetry.metricsText(), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    });
  });
};

/** Health without the API: for a runtime that answers requests on loopback only. */
export const createHealthApp = (parts: HealthParts & { readonly access: MetricsAccess }): Hono => {
  const app = new Hono();
  app.use(endUnfinished);
  addHealth(app, parts);
  addMetrics(app, parts);
  app.notFound((c) => c.text('there is /metrics, /livez and /readyz\n', 404));
  return app;
};
