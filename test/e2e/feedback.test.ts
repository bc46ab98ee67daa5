import { OpenAI } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  FeedbackRequest,
  FeedbackResponse,
  GenerateResponse,
} from '../../src/gen/adaptlet/inference/v1/inference.ts';
import { CallError } from '../support/client.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
let openai: OpenAI;

const rollout = async () => (await node.client.status()).rollouts.find((r) => r.key === 'default/shout');
const write = (adapter: string) =>
  node.write('shout.yaml', yaml.rollout('shout', adapter, '{setWeight: 50}, {pause: {}}'));

beforeAll(async () => {
  node = await TestNode.start();
  openai = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });
  await node.write(
    'adapters.yaml',
    ['upper', 'reverse'].map((n) => yaml.adapter(n, `adapters/${n}`)).join(''),
  );
  await write('upper');
  await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
  await write('reverse');
  await waitFor('a canary', async () => (await rollout())?.effectiveWeight === 50);
});
afterAll(() => node.dispose());

/** By gRPC: what the first message, the last one and the metadata say. */
const generate = async (user: string, model = 'shout') => {
  const stream = node.client.inference.generate({
    namespace: '',
    model,
    prompt: { $case: 'text', value: 'moon:' },
    maxTokens: 8,
    sampling: undefined,
    stop: [],
    stopTokenIds: [],
    badWords: [],
    structure: undefined,
    user,
    session: '',
  });
  let header = '';
  stream.on('metadata', (metadata) => {
    header = String(metadata.get('x-adaptlet-request-id')[0]);
  });
  let last: GenerateResponse | undefined;
  for await (const response of stream as AsyncIterable<GenerateResponse>) last = response;
  if (last?.event?.$case !== 'done') throw new Error('the stream ended without done');
  return { header, id: last.event.value.id, arm: last.served?.arm, digest: last.served?.digest };
};

const give = (request: FeedbackRequest) =>
  new Promise<FeedbackResponse>((resolve, reject) => {
    node.client.inference.feedback(request, (error, response) =>
      error === null ? resolve(response) : reject(new CallError(error)),
    );
  });

const post = async (body: object) => {
  const response = await fetch(`${node.http}/v1/feedback`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

describe('feedback about answers of a real node', () => {
  it('by gRPC goes to the arm that answered, at once, and may be repeated and replaced', async () => {
    const arms = new Set<string | undefined>();
    for (let i = 0; i < 12; i++) {
      const { id, header, arm, digest } = await generate(`u${i}`);
      expect(header).toBe(id);
      arms.add(arm);
      const by = { rollout: 'shout', arm, digest };
      expect(await give({ id, reward: 1 })).toEqual({ ...by, replaced: false });
      expect(await give({ id, reward: 1 })).toEqual({ ...by, replaced: false });
      expect(await give({ id, reward: -0.5 })).toEqual({ ...by, replaced: true });
    }
    expect(arms).toEqual(new Set(['stable', 'canary']));
    const metrics = await (await fetch(`${node.http}/metrics`)).text();
    const counted = [...metrics.matchAll(/^adaptlet_feedback_total\{rollout="shout",arm="(\w+)"\} (\d+)$/gm)];
    expect(new Set(counted.map(([, arm]) => arm))).toEqual(arms);
    expect(counted.reduce((sum, [, , count]) => sum + Number(count), 0)).toBe(12);
  });

  it("by HTTP takes the ids that OpenAI's client sees, of whole answers and of streams", async () => {
    const messages = [{ role: 'user', content: 'moon:' }] as const;
    const chat = await openai.chat.completions.create({
      model: 'shout',
      messages: [...messages],
      max_tokens: 4,
    });
    const plain = await openai.completions.create({ model: 'shout', prompt: 'moon:', max_tokens: 4 });
    const ids = [chat.id, plain.id];
    const stream = await openai.completions.create({
      model: 'shout',
      prompt: 'moon:',
      max_tokens: 4,
      stream: true,
    });
    for await (const { id } of stream) ids[2] = id;
    expect(ids.map((id) => id.replace(/-.*/, ''))).toEqual(['chatcmpl', 'cmpl', 'cmpl']);
    for (const id of ids) {
      const { status, body } = await post({ id, reward: 3 });
      expect([status, body.rollout, body.replaced]).toEqual([200, 'shout', false]);
      // The other protocol knows the same answer.
      expect(await give({ id: String(body.id), reward: 4 })).toMatchObject({ arm: body.arm, replaced: true });
    }
  });

  it('that no answer has is refused, and so is one about an answer that no rollout gave', async () => {
    const byName = await generate('u1', 'upper');
    for (const id of [crypto.randomUUID(), byName.id]) {
      await expect(give({ id, reward: 1 })).rejects.toMatchObject({ code: 'FEEDBACK_UNKNOWN' });
      expect(await post({ id, reward: 1 })).toMatchObject({
        status: 404,
        body: {
          error: { code: 'feedback_unknown', message: expect.stringContaining('of the same fleet') },
        },
      });
    }
    const { id } = await generate('u1');
    await expect(give({ id, reward: 2e6 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    expect((await post({ id, reward: '1' })).status).toBe(400);
  });

  it('still counts when it comes after the canary was promoted, and no more when the rollout is gone', async () => {
    const [late, tooLate] = [await generate('u1'), await generate('u2')];
    await new Promise((resolve, reject) => {
      node.client.admin.promote({ rollout: 'shout', full: true }, (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
    });
    await waitFor('the new stable', async () => (await rollout())?.stable === 'reverse');
    expect(await give({ id: late.id, reward: 1 })).toMatchObject({ arm: late.arm, digest: late.digest });
    await node.write('shout.yaml', '# none\n');
    await waitFor('no rollout', async () => (await rollout()) === undefined);
    await expect(give({ id: tooLate.id, reward: 1 })).rejects.toMatchObject({ code: 'FEEDBACK_UNKNOWN' });
  });
});
