import { afterAll, beforeAll, it } from 'vitest';
import { dataDescriptors } from '../../../src/gen/descriptors.ts';
import { startGrpc } from '../../../src/runtime/server/grpc/server.ts';
import { startHttp } from '../../../src/runtime/server/http/server.ts';
import { fakeDigest } from '../../../src/runtime/server/testing/fake-serving.ts';
import { fakeParts } from '../../../src/runtime/server/testing/parts.ts';
import { tool } from '../../tools/build.ts';
import { aiSdkClient } from './ai-sdk.ts';
import { grpcurlClient } from './grpcurl.ts';
import { kserveClients, kservePython } from './kserve.ts';
import { openaiChat, openaiClient } from './openai.ts';
import { langchainClient, openaiPython, openaiPythonClient } from './openai-python.ts';
import { openaiResponses } from './openai-responses.ts';
import type { RoutedTarget } from './target.ts';
import { tritonClient, tritonProtocol, tritonPython } from './triton.ts';

// The protocols alone: the servers are real, what they serve is a fake that answers with the prompt.
let target: RoutedTarget;
let close: () => Promise<void>;

beforeAll(async () => {
  const parts = fakeParts();
  const grpc = await startGrpc({ ...parts, address: '127.0.0.1:0' });
  const http = await startHttp({ ...parts, address: '127.0.0.1:0' });
  close = async () => {
    await Promise.all([grpc.close(1000), http.close(1000)]);
  };
  target = {
    grpcAddress: `127.0.0.1:${grpc.port}`,
    httpUrl: `http://127.0.0.1:${http.port}`,
    version: parts.version,
    models: { base: 'tiny', adapter: 'upper', rollout: 'sql' },
    route: {
      name: 'assistant',
      served: { digest: fakeDigest('a'), adapter: 'upper', rollout: 'sql', arm: 'canary', rule: 'überall' },
    },
    sample: { prompt: 'moon: naïve', maxTokens: 32, base: 'moon: naïve', adapter: 'MOON: NAÏVE' },
  };
});
afterAll(async () => {
  await close();
});

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

const executable = await tritonPython();
if (executable === undefined) it.skip('tritonclient: this machine has no python3');
else {
  tritonClient(() => target, executable);
  tritonProtocol(dataDescriptors, executable);
}

const kserve = await kservePython();
if (kserve === undefined) it.skip("KServe's clients: this machine has no python3");
else kserveClients(() => target, kserve);

const grpcurl = await tool('grpcurl');
if (grpcurl === undefined) it.skip('grpcurl: this machine has no go to build it with');
else grpcurlClient(() => target, grpcurl);
