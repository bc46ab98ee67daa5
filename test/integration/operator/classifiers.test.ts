import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Condition, conditionOf } from '../../../src/api/condition.ts';
import type { RouteStatus } from '../../../src/api/route-status.ts';
import { adaptlet } from '../../support/cli.ts';
import { ClosedRegistry } from '../../support/closed-registry.ts';
import { letReadSecrets, TestFleet } from '../../support/fleet.ts';
import { minilm } from '../../support/models.ts';
import type { TestNode } from '../../support/node.ts';
import { hasRegistry, TestRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait.ts';

const real = minilm();
const rain = 'will it rain tomorrow in oslo';
const uncertain = 'intent=;score=0.000;margin=0.000;uncertain';
const waitMs = 120_000;

describe.skipIf(!hasRegistry || real === undefined)(
  'onnx classifiers in a cluster (needs go, and ADAPTLET_MODELS or ../shared/models)',
  () => {
    const stack = new AsyncDisposableStack();
    const encoder = { 'classifier-model': real?.modelDir ?? '' };
    let registry: TestRegistry;
    let fleet: TestFleet;
    let node: TestNode;
    /** Another namespace. */
    let stranger: string;
    let digest: string;

    const push = async (repository: string): Promise<string> => {
      const folder = join(real?.adapters ?? '', 'intent');
      const pushed = await adaptlet('push', folder, `${registry.host}/${repository}:v1`, '--json');
      expect(pushed).toMatchObject({ code: 0, stderr: '' });
      return (JSON.parse(pushed.stdout) as { readonly digest: string }).digest;
    };

    beforeAll(async () => {
      registry = stack.use(await TestRegistry.start());
      fleet = stack.use(await TestFleet.start({ replicas: 2, runtimes: 0 }));
      node = await fleet.startNode(0, encoder);
      stranger = await fleet.cluster.createNamespace('stranger');
      await letReadSecrets(fleet);
      digest = await push('team/intent');
    }, waitMs);
    afterAll(() => stack.disposeAsync());

    const apply = (
      repository: string,
      of: string,
      {
        namespace = fleet.namespace,
        host = registry.host,
        oci = {},
        ...more
      }: { namespace?: string; host?: string; oci?: object; onUncertain?: string } = {},
    ): Promise<string> => {
      const object = {
        apiVersion: 'adaptlet.io/v1alpha1',
        kind: 'AdapterRoute',
        metadata: { name: 'assistant', namespace },
        spec: {
          model: 'assistant',
          rules: [
            {
              name: 'weather',
              matches: [{ classifier: { name: 'intent', labels: ['weather'] } }],
              targets: [{ base: true }],
            },
            { name: 'everyone', targets: [{ base: true }] },
          ],
          classifiers: [
            {
              name: 'intent',
              minConfidence: 0.5,
              onnx: { source: { oci: { image: `${host}/${repository}:v1`, ...oci } }, digest: of },
              ...more,
            },
          ],
        },
      };
      return fleet.cluster.kubectlOk(['apply', '-f', '-'], JSON.stringify(object));
    };

    /** The condition, once it is as it should and about the present spec. */
    const says = (type: string, verdict: string, namespace = fleet.namespace): Promise<Condition> =>
      waitFor(
        `${type} ${verdict} of the route in ${namespace}`,
        async () => {
          type Route = { readonly metadata: { readonly generation: number }; readonly status?: RouteStatus };
          const route = await fleet.get<Route>('art', 'assistant', namespace);
          if (route?.status?.observedGeneration !== route?.metadata.generation) return undefined;
          const condition = conditionOf(route?.status?.conditions, type);
          return condition !== undefined && `${condition.status} ${condition.reason}` === verdict
            ? condition
            : undefined;
        },
        waitMs,
      );

    const ask = async (prompt: string, namespace = fleet.namespace) => {
      const response = await fetch(`${node.http}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-adaptlet-namespace': namespace },
        body: JSON.stringify({ model: 'assistant', prompt, max_tokens: 1, temperature: 0 }),
      });
      await response.text();
      const header = (name: string): string => response.headers.get(`x-adaptlet-${name}`) ?? '';
      return { rule: header('rule'), classified: header('classified'), error: header('error') };
    };
    /** On a busy machine an answer may take longer than a request waits for it. */
    const isAsked = (prompt: string, rule: string, namespace = fleet.namespace): Promise<unknown> =>
      waitFor(`rule ${rule}`, async () => (await ask(prompt, namespace)).rule === rule);

    it('are fetched by their digest, decide, and the route says that its runtimes have them', async () => {
      await apply('team/intent', digest);
      const { message } = await says('ClassifiersReady', 'True ClassifiersReady');
      expect(message).toBe(`on 1 runtimes: intent ${digest}`);
      await says('Ready', 'True Programmed');
      await isAsked(rain, 'weather');
      const jazz = await waitFor('an answer', async () => {
        const asked = await ask('play some jazz');
        return asked.classified === uncertain ? undefined : asked;
      });
      expect(jazz).toMatchObject({
        rule: 'everyone',
        classified: expect.stringMatching(/^intent=music;score=0\.\d{3};margin=0\.\d{3}$/) as string,
      });
      expect(registry.reads.some((path) => path.endsWith(`/team/intent/manifests/${digest}`))).toBe(true);
    });

    it('are for the namespace alone whose own source gave them, though the node has the bytes', async () => {
      await apply('stranger/intent', digest, { namespace: stranger });
      const { message } = await says('ClassifiersReady', 'False ClassifierFailed', stranger);
      expect(message).toContain(`classifier intent (${digest}) is not ready on 1 of 1 runtimes; `);
      expect(message).toMatch(/node-0: its artifact is not here: [A-Z_]+: .*stranger\/intent/);
      expect(await ask(rain, stranger)).toMatchObject({ rule: 'everyone', classified: uncertain });
      await isAsked(rain, 'weather');
      expect(await push('stranger/intent')).toBe(digest);
      await says('ClassifiersReady', 'True ClassifiersReady', stranger);
      await isAsked(rain, 'weather', stranger);
    });

    it('that the source does not have are a condition with the reason, and the route does as it says', async () => {
      const absent = `sha256:${'0'.repeat(64)}`;
      await apply('team/intent', absent);
      const { message } = await says('ClassifiersReady', 'False ClassifierFailed');
      expect(message).toContain(absent);
      expect(message).toContain('DIGEST_MISMATCH');
      await says('Ready', 'False ClassifierFailed');
      await says('Reconciling', 'True ClassifierFailed');
      expect(await ask(rain)).toMatchObject({ rule: 'everyone', classified: uncertain });
      await apply('team/intent', absent, { onUncertain: 'Refuse' });
      await waitFor('a refusal', async () => (await ask(rain)).error === 'ROUTE_UNCERTAIN');
      const events = await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'get', 'events', '-o', 'json']);
      expect(events).toContain('"ClassifierFailed"');
      await apply('team/intent', digest);
      await says('ClassifiersReady', 'True ClassifiersReady');
      await isAsked(rain, 'weather');
    });

    it('with a pullSecretRef wait for the Secret, and come by a token for their repository', async () => {
      await using closed = await ClosedRegistry.start({
        kind: 'bearer',
        user: 'edge',
        password: 'let-me-in',
      });
      const pushed = await closed.push('team/closed:v1', 'intent', real?.adapters);
      const oci = { pullSecretRef: { name: 'login' } };
      await apply('team/closed', pushed, { host: closed.host, oci });
      const { message } = await says('ClassifiersReady', 'False ClassifierFailed');
      const secret = `${fleet.namespace}/login`;
      expect(message).toContain(
        `classifier ${fleet.namespace}/assistant/intent waits for a pull credential of Secret ${secret}`,
      );
      expect(message).toContain(`there is no Secret ${secret}`);
      expect(closed.tokens).toEqual([]);
      await fleet.apply(closed.secret('login', fleet.namespace, 'let-me-in'));
      await says('ClassifiersReady', 'True ClassifiersReady');
      await isAsked(rain, 'weather');
      const claims = closed.tokens.map((token) =>
        Buffer.from(token.split(' ')[1]?.split('.')[0] ?? '', 'base64url').toString(),
      );
      expect(claims).toHaveLength(1);
      expect(claims[0]).toContain('repository:team/closed:pull');
      await apply('team/intent', digest);
      await says('ClassifiersReady', 'True ClassifiersReady');
    });

    it('say which runtime has no encoder', async () => {
      await fleet.startNode(1);
      const { message } = await says('ClassifiersReady', 'False ClassifierFailed');
      expect(message).toMatch(
        /is not ready on 1 of 2 runtimes; .*node-1: there is no encoder for classifiers here \(--classifier-model\)$/,
      );
      await fleet.nodes[1]?.end();
      await says('ClassifiersReady', 'True ClassifiersReady');
    });

    it('come from nowhere where the policy of the namespace does not allow the source', async () => {
      const spec = { sources: { registries: ['other.example'] }, clients: { anonymous: 'Allow' } };
      const policy = { apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterPolicy' };
      const metadata = { name: 'default', namespace: stranger };
      await fleet.cluster.kubectlOk(['apply', '-f', '-'], JSON.stringify({ ...policy, metadata, spec }));
      const { message } = await says('ResolvedRefs', 'False NotAllowed', stranger);
      expect(message).toContain('SOURCE_NOT_ALLOWED: spec.classifiers[0].onnx.source');
      await says('ClassifiersReady', 'False ClassifierFailed', stranger);
      await isAsked(rain, 'everyone', stranger);
      await isAsked(rain, 'weather');
    });
  },
);
