import { afterAll, beforeAll, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { aiSdkClient } from '../integration/clients/ai-sdk.ts';
import { grpcurlClient } from '../integration/clients/grpcurl.ts';
import { kserveClients, kservePython } from '../integration/clients/kserve.ts';
import { openaiChat, openaiClient } from '../integration/clients/openai.ts';
import { langchainClient, openaiPython, openaiPythonClient } from '../integration/clients/openai-python.ts';
import { openaiResponses } from '../integration/clients/openai-responses.ts';
import type { RoutedTarget } from '../integration/clients/target.ts';
import { tritonClient, tritonPython } from '../integration/clients/triton.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { tool } from '../tools/build.ts';

// The same clients as in test/integration/clients, against a whole node with the tiny model.
let node: TestNode;
let target: RoutedTarget;

beforeAll(async () => {
  node = await TestNode.start();
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
  );
  await node.write('sql.yaml', yaml.rollout('sql', 'upper', '{setWeight: 20}, {pause: {}}'));
  await node.write(
    'assistant.yaml',
    yaml.route('assistant', '  - {name: everyone, targets: [{rollout: sql}]}\n'),
  );
  await waitFor('stable', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
  const { adapters } = await node.client.status();
  const { digest = '' } = adapters.find(({ key }) => key === 'default/upper') ?? {};
  target = {
    grpcAddress: node.grpc,
    httpUrl: node.http,
    version: packageJson.version,
    models: { base: 'tiny', adapter: 'upper', rollout: 'sql' },
    route: {
      name: 'assistant',
      served: { digest, adapter: 'upper', rollout: 'sql', arm: 'stable', rule: 'everyone' },
    },
    sample: { prompt: 'moon:', maxTokens: 16, base: 'moon moon.', adapter: 'MOON!' },
  };
});
afterAll(() => node.dispose());

openaiClient(() => target);
openaiChat(() => target);
openaiResponses(() => target);
aiSdkClient(() => target);

const openai = await openaiPython();
if (openai === undefined) it.skip('the openai clients of Python: this machine has no python3');
else {
  openaiPythonClient(() => target, openai);
  langchainClient(() => target, openai);
}

const python = await tritonPython();
if (python === undefined) it.skip('tritonclient: this machine has no python3');
else {
  // It unloads and loads an adapter by hand: one that no rollout holds.
  const free = () => ({
    ...target,
    models: { ...target.models, adapter: 'reverse' },
    sample: { ...target.sample, adapter: 'noom.' },
  });
  tritonClient(free, python);
}

const kserve = await kservePython();
if (kserve === undefined) it.skip("KServe's clients: this machine has no python3");
else kserveClients(() => target, kserve);

const grpcurl = await tool('grpcurl');
if (grpcurl === undefined) it.skip('grpcurl: this machine has no go to build it with');
else grpcurlClient(() => target, grpcurl);
