import { describe, expect, it } from 'vitest';
import { analysisSpecSchema } from '../../api/analysis.ts';
import { strategySchema } from '../../api/rollout.ts';
import { anAnalysis, aPolicy, aRollout } from '../../plan/manifests.fixture.ts';
import { kindOf } from './list.ts';
import { metricsView } from './metrics-view.ts';
import { policyView } from './policy-view.ts';

describe('words for kinds', () => {
  it.each([
    ['adapter', 'adapters'],
    ['AdapterRollouts', 'rollouts'],
    ['aro', 'rollouts'],
    ['analyses', 'analyses'],
    ['analysis', 'analyses'],
    ['AdapterAnalysis', 'analyses'],
    ['aan', 'analyses'],
    ['policy', 'policies'],
    ['adapterpolicies', 'policies'],
    ['apol', 'policies'],
    ['adr', 'runtimes'],
    ['analyse', undefined],
    ['', undefined],
  ])('%s is %s', (word, kind) => {
    expect(kindOf(word)).toBe(kind);
  });
});

describe('an analysis', () => {
  it('is shown with its metrics and the rollouts that refer to it', () => {
    const spec = analysisSpecSchema.parse({
      duration: '10m',
      metrics: [
        { name: 'errors', source: { builtin: 'ErrorRatio' } },
        { name: 'ratio', source: { builtin: 'SampleRatio' }, class: 'Signal' },
        {
          name: 'quality',
          source: { prometheus: { address: 'http://prometheus:9090', query: 'q' } },
          judge: { threshold: { success: { atLeast: 0.9 } } },
          interval: '1m',
          count: 5,
        },
      ],
    });
    const strategy = strategySchema.parse({
      canary: { steps: [{ setWeight: 20 }, { analysis: { ref: 'checkout' } }] },
    });
    const rollouts = [
      aRollout({ name: 'sql' }, { adapter: 'a', strategy }),
      aRollout({ name: 'chat' }, { adapter: 'a' }),
    ];
    expect(metricsView(anAnalysis({ name: 'checkout' }, spec), rollouts)).toBe(`Name:         checkout
Namespace:    team-a
Duration:     10m
Inconclusive: Pause
Rollouts:     sql

METRIC    SOURCE                   JUDGE         CLASS       INTERVAL   COUNT
errors    ErrorRatio               sequential    Guardrail   10s
ratio     SampleRatio              sampleRatio   Signal      10s
quality   http://prometheus:9090   threshold     Guardrail   1m         5
`);
  });

  it('without metrics has the default ones', () => {
    expect(metricsView(anAnalysis({ name: 'checkout' }), [])).toContain(
      'Rollouts:     none\n\nThe default metrics',
    );
  });
});

describe('a policy', () => {
  it('is shown with everything that it says, and no digest', () => {
    const policy = aPolicy('team-a', {
      clients: {
        apiKeys: [{ name: 'app', sha256: 'f'.repeat(64), rights: ['Users'], tenant: 'acme' }],
        keysFromSecrets: 'Allow',
        rightsFromSecrets: ['Priority'],
        certificates: [{ name: 'gateway', commonName: 'gateway.team-a' }],
      },
      sources: { registries: ['registry.example/team-a'], paths: [] },
      limits: { adapters: 20, requests: { guarantee: 2, limit: 4 } },
      base: 'Deny',
      runtimes: { pods: 'Allow', nodes: { matchLabels: { pool: 'edge', zone: 'a' } } },
    });
    expect(policyView(policy)).toBe(`Name:         default
Namespace:    team-a
Clients:      anonymous: Deny
              key app, tenant acme, Users
              keys from Secrets, Priority
              certificate gateway (CN=gateway.team-a)
Sources:      registries: registry.example/team-a
              paths: none
              metrics: any
Limits:       requests: guarantee 2, limit 4
              adapters: 20
Base:         Deny
Runtimes:     pods: Allow
              nodes: pool=edge,zone=a
`);
  });
});
