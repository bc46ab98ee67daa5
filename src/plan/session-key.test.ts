import { describe, expect, it } from 'vitest';
import { ruleSchema } from '../api/route.ts';
import { readBody } from '../control/bodies.ts';
import { compilePlan, routeResource } from './compile.ts';
import { aRoute } from './manifests.fixture.ts';
import type { RouteResource } from './resources.ts';
import { sessionKeyPattern } from './session-key.ts';

const secret = 's'.repeat(43);
const rules = [ruleSchema.parse({ name: 'all', targets: [{ base: true }], stickyDecision: {} })];
const route = (identity: Partial<Parameters<typeof aRoute>[0]> = {}) =>
  aRoute({ name: 'front', namespace: 'team-a', ...identity }, { rules });

describe('the key for tokens of sessions', () => {
  it('is in the route, and comes over the wire', () => {
    const { name, body } = routeResource(route(), secret);
    expect(body.sessionKey).toMatch(sessionKeyPattern);
    expect(readBody({ type: 'Route', name }, JSON.parse(JSON.stringify(body)))).toEqual({
      resource: { type: 'Route', name, body },
    });
    const bad = { ...body, sessionKey: 'short' };
    expect(readBody({ type: 'Route', name }, bad)).toMatchObject({
      reason: expect.stringContaining('sessionKey'),
    });
  });

  it('is another one for each namespace, route and secret', () => {
    const keys = [
      routeResource(route(), secret),
      routeResource(route({ namespace: 'team-b' }), secret),
      routeResource(route({ name: 'back' }), secret),
      routeResource(route(), 't'.repeat(43)),
    ].map(({ body }) => body.sessionKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.join()).not.toContain(secret);
  });

  it('is only where a rule keeps decisions, and where there is a secret', () => {
    expect(routeResource(aRoute({ name: 'plain' }), secret).body).not.toHaveProperty('sessionKey');
    const byPrompt = ruleSchema.parse({
      ...rules[0],
      stickyDecision: undefined,
      matches: [{ promptRegex: 'a' }],
    });
    const unasked = aRoute({ name: 'unasked' }, { rules: [byPrompt] });
    expect(routeResource(unasked, secret).body.sessionKey).toMatch(sessionKeyPattern);
    expect(routeResource(route()).body).not.toHaveProperty('sessionKey');
  });

  it('is the same for whoever compiles the plan, also of a copy of the object', () => {
    const sessionKeyIn = (): string | undefined => {
      const runtime = { baseModel: 'tiny', labels: {} };
      const { plan } = compilePlan({ manifests: [route({ uid: 'a copy' })], runtime, sessionSecret: secret });
      const body = plan.get('Route team-a/front')?.body as RouteResource['body'] | undefined;
      return body?.sessionKey;
    };
    expect(sessionKeyIn()).toBe(routeResource(route(), secret).body.sessionKey);
  });
});
