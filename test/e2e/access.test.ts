import { join } from 'node:path';
import { AuthenticationError, OpenAI, PermissionDeniedError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newKey } from '../../src/cli/key.ts';
import { TestNode, yaml } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { runProgram } from '../support/program.ts';
import { waitFor } from '../support/wait.ts';

// A node as a cluster has it: its ports listen on all addresses.
const app = newKey('app');
const policy = (...keys: readonly string[]) => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterPolicy
metadata: {name: default, namespace: default}
spec:
  clients:
    apiKeys: [${keys.join(', ')}]
`;
const bin = join(repositoryRoot, 'bin/adaptlet');
const appKey = `{name: app, sha256: ${app.sha256}}`;

let node: TestNode;
let url: string;
beforeAll(async () => {
  node = await TestNode.start({
    settings: { 'grpc-listen': '0.0.0.0:0', 'http-listen': '0.0.0.0:0' },
  });
  url = node.http.replace('0.0.0.0', '127.0.0.1');
  await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
  await waitFor('the adapter', async () => (await node.client.status()).adapters.length === 1);
});
afterAll(() => node.dispose());

const complete = (apiKey: string, model = 'upper') =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 }).completions.create({
    model,
    prompt: 'moon:',
    max_tokens: 16,
    temperature: 0,
  });

describe('a node that is reached from elsewhere', () => {
  it('answers nobody while there is no policy, and says that it is well', async () => {
    await expect(complete('anything')).rejects.toBeInstanceOf(AuthenticationError);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
  });

  it('answers who has a key of its policy, from the moment that the policy is there until it is not', async () => {
    await node.write('policy.yaml', policy(appKey));
    const answer = await waitFor('the key to be known', () => complete(app.key).catch(() => undefined));
    expect(answer.choices[0]?.text.trim()).toBe('MOON!');
    await expect(complete('adk_wrong')).rejects.toBeInstanceOf(AuthenticationError);
    await expect(complete(app.key, 'team-b/upper')).rejects.toBeInstanceOf(PermissionDeniedError);

    const server = node.grpc.replace('0.0.0.0', '127.0.0.1');
    const args = [
      'generate',
      '-s',
      server,
      '-m',
      'upper',
      '--temperature',
      '0',
      '--max-tokens',
      '16',
      'moon:',
    ];
    const ask = (key: string) => runProgram(bin, args, { env: { ADAPTLET_KEY: key } });
    expect((await ask(app.key)).stdout.trim()).toBe('MOON!');
    expect((await ask('')).stderr).toMatch(/UNAUTHENTICATED/);

    await node.write('policy.yaml', policy());
    await waitFor('the key to be forgotten', () =>
      complete(app.key).then(
        () => undefined,
        (error: unknown) => error instanceof AuthenticationError || undefined,
      ),
    );
  });
});
