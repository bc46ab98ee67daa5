import { beforeEach, describe, expect, it, vi } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Credentials } from '../identity/authority.ts';
import { NamespaceBundles } from './namespace-bundles.ts';
import { Publisher } from './publisher.ts';

const webhookPath = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/adaptlet-sidecar';
const pathIn = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps/adaptlet-ca`;
const own = { 'app.kubernetes.io/managed-by': 'adaptlet' };

/** The API server, an authority that a test rotates, and runtimes of pods. */
class Stage {
  readonly api = new FakeApi();
  readonly clock = new FakeClock();
  readonly listeners = new Set<(credentials: Credentials) => void>();
  readonly pods: string[] = [];
  bundle = 'one';
  readonly bundles: NamespaceBundles;
  publisher: Publisher | undefined;

  constructor() {
    this.api.before = ({ method, path }) => {
      if (method !== 'GET' || path !== '/api/v1/configmaps') return undefined;
      return {
        items: [...this.api.objects].flatMap(([at, one]) => (at.includes('/configmaps/') ? [one] : [])),
      };
    };
    this.bundles = new NamespaceBundles({
      api: this.api,
      namespace: 'adaptlet-system',
      bundle: () => this.bundle,
      runtimes: {
        list: () =>
          this.pods.map(
            (namespace) => ({ key: objectKey(namespace, 'p'), object: { status: { kind: 'Pod' } } }) as never,
          ),
      },
      logger: silentLog,
    });
    const metadata = { name: 'adaptlet-sidecar' };
    const webhooks = [{ name: 'a', clientConfig: { service: { name: 's' } }, timeoutSeconds: 5 }];
    this.api.put(webhookPath, { metadata, webhooks });
  }

  start(): void {
    const { api, clock, bundles } = this;
    const authority = {
      credentials: (): Credentials => ({ certificate: '', key: '', bundle: this.bundle }),
      onChange: (listener: (credentials: Credentials) => void) => {
        this.listeners.add(listener);
        return () => void this.listeners.delete(listener);
      },
    };
    this.publisher = new Publisher({ api, authority, bundles, clock, logger: silentLog, random: () => 0 });
  }

  rotate(bundle: string): void {
    this.bundle = bundle;
    for (const listener of this.listeners) listener({ certificate: '', key: '', bundle });
  }

  textIn(namespace: string): unknown {
    return (this.api.objects.get(pathIn(namespace))?.['data'] as Record<string, string> | undefined)?.[
      'ca.crt'
    ];
  }
  get webhooks(): unknown {
    return this.api.objects.get(webhookPath)?.['webhooks'];
  }
  get writes(): number {
    return this.api.requests.filter(({ method }) => method !== 'GET').length;
  }
}

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
const webhooksWith = (bundle: string) => [
  {
    name: 'a',
    clientConfig: { service: { name: 's' }, caBundle: Buffer.from(bundle).toString('base64') },
    timeoutSeconds: 5,
  },
];

describe('the certificate authority', () => {
  it('is told to the API server, and told anew when it is another one', async () => {
    stage.start();
    await vi.waitFor(() => expect(stage.webhooks).toEqual(webhooksWith('one')));
    stage.rotate('two');
    await vi.waitFor(() => expect(stage.webhooks).toEqual(webhooksWith('two')));
    await stage.publisher?.close();
    expect(stage.writes).toBe(2);
  });

  it('is told again once a minute where somebody undid it, and else nothing is written', async () => {
    stage.start();
    await vi.waitFor(() => expect(stage.webhooks).toEqual(webhooksWith('one')));
    const lists = () => stage.api.requests.filter(({ path }) => path === '/api/v1/configmaps').length;
    await vi.waitFor(() => expect(lists()).toBe(1));
    await new Promise((resolve) => setImmediate(resolve));
    stage.clock.advance(60_000);
    await vi.waitFor(() => expect(lists()).toBe(2));
    expect(stage.writes).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    stage.api.put(webhookPath, {
      webhooks: [{ name: 'a', clientConfig: { service: { name: 's' } }, timeoutSeconds: 5 }],
    });
    stage.clock.advance(60_000);
    await vi.waitFor(() => expect(stage.webhooks).toEqual(webhooksWith('one')));
    await stage.publisher?.close();
  });

  it('is brought to namespaces also while the chart has no webhook, and the webhook is looked for again', async () => {
    stage.api.objects.delete(webhookPath);
    stage.pods.push('team-a');
    stage.start();
    await vi.waitFor(() => expect(stage.textIn('team-a')).toBe('one'));
    stage.api.put(webhookPath, { webhooks: [{ name: 'a', clientConfig: {} }] });
    await vi.waitFor(() => {
      stage.clock.advance(1_000);
      expect(JSON.stringify(stage.webhooks)).toContain('caBundle');
    });
    await stage.publisher?.close();
  });
});

describe('the bundle of a namespace', () => {
  it('is written once, whoever asks for it at the same time', async () => {
    await Promise.all([stage.bundles.publishIn('team-a'), stage.bundles.publishIn('team-a')]);
    await stage.bundles.publishIn('team-a');
    expect(stage.textIn('team-a')).toBe('one');
    expect(stage.api.requests.map(({ method }) => method)).toEqual(['GET', 'POST']);
  });

  it('follows the authority where it is, and is there again where a sidecar is', async () => {
    const { signal } = new AbortController();
    await stage.bundles.publishIn('team-a');
    await stage.bundles.publishIn('team-b');
    stage.bundle = 'two';
    await stage.bundles.refresh(signal);
    expect(['team-a', 'team-b', 'team-c'].map((one) => stage.textIn(one))).toEqual(['two', 'two', undefined]);
    stage.api.objects.delete(pathIn('team-b'));
    stage.pods.push('team-b');
    await stage.bundles.refresh(signal);
    expect(stage.textIn('team-b')).toBe('two');
  });

  it('of somebody else, and that of the operator itself, are left alone', async () => {
    const foreign = { metadata: { name: 'adaptlet-ca', namespace: 'team-a' }, data: { 'ca.crt': 'theirs' } };
    const ours = { name: 'adaptlet-ca', namespace: 'adaptlet-system', labels: own };
    stage.api.put(pathIn('team-a'), foreign);
    stage.api.put(pathIn('adaptlet-system'), { metadata: ours, data: { 'ca.crt': 'of the authority' } });
    stage.pods.push('team-a', 'adaptlet-system');
    await stage.bundles.refresh(new AbortController().signal);
    await stage.bundles.publishIn('team-a');
    await stage.bundles.publishIn('adaptlet-system');
    expect(stage.textIn('team-a')).toBe('theirs');
    expect(stage.textIn('adaptlet-system')).toBe('of the authority');
    expect(stage.writes).toBe(0);
  });

  it('that cannot be written delays nobody, and is tried again for the next pod', async () => {
    const { before } = stage.api;
    stage.api.before = () => {
      throw new AdaptletError('KUBE_FORBIDDEN', 'the namespace is going');
    };
    await stage.bundles.publishIn('team-a');
    stage.api.before = before;
    await stage.bundles.publishIn('team-a');
    expect(stage.textIn('team-a')).toBe('one');
  });
});
