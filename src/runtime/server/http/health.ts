import { Hono } from 'hono';
import type { Parts } from '../exchange.ts';

export type HealthParts = Pick<Parts, 'serving' | 'telemetry'>;

/** Adds what kubelets ask for. */
export const addHealth = (app: Hono, { serving }: Pick<HealthParts, 'serving'>): void => {
  app.get('/livez', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const { ok, reason } = serving.ready();
    return ok ? c.text('ok\n') : c.text(`${reason}\n`, 503);
  });
};

/** Adds what Prometheus asks for. It names adapters of all namespaces. */
export const addMetrics = (app: Hono, { telemetry }: Pick<HealthParts, 'telemetry'>): void => {
  app.get('/metrics', async (c) =>
    c.body(await telemetry.metricsText(), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  );
};

/** Health without the API: for a runtime that answers requests on loopback only. */
export const createHealthApp = (parts: HealthParts): Hono => {
  const app = new Hono();
  addHealth(app, parts);
  addMetrics(app, parts);
  app.notFound((c) => c.text('there is /metrics, /livez and /readyz\n', 404));
  return app;
};
