import { App, Chart } from 'cdk8s';
// Elsewhere: from 'adaptlet-cdk8s'.
import { Adapter, AdapterRollout, AdapterRoute } from '../../cdk8s/index.ts';

const version = 2;
const baseModel = 'smollm2-135m';

const app = new App();
const team = new Chart(app, 'team-a', { namespace: 'team-a' });

// One object a version: the former one stays, and a rollback needs no download.
for (const number of [version - 1, version])
  new Adapter(team, `sql-v${number}`, {
    metadata: { name: `sql-v${number}` },
    spec: { baseModel, source: { oci: { image: `registry.example/team-a/sql:v${number}` } } },
  });

new AdapterRollout(team, 'sql', {
  metadata: { name: 'sql' },
  spec: {
    adapter: `sql-v${version}`,
    strategy: {
      canary: {
        steps: [5, 25, 50].flatMap((setWeight) => [{ setWeight }, { pause: { duration: '10m' } }]),
      },
    },
    guard: { maxErrorRatio: '20%', maxLatency: '2s' },
  },
});

new AdapterRoute(team, 'assistant', {
  metadata: { name: 'assistant' },
  spec: {
    model: 'assistant',
    rules: [
      {
        name: 'sql',
        matches: [{ headers: [{ name: 'x-department', value: 'data' }] }],
        targets: [{ rollout: 'sql' }],
        fallback: [{ base: true }],
      },
      { name: 'others', targets: [{ base: true }] },
    ],
  },
});

app.synth();
