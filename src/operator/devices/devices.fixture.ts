import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { objectKey } from '../../api/names.ts';
import type { DeviceSpec } from '../../api/runtime.ts';
import { enrolStatement, renewStatement } from '../../control/enrolment.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeRequest } from '../../kube/client/api.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from '../plans/fake-objects.ts';
import { DeviceAuthority } from './authority.ts';
import { Devices } from './devices.ts';

export const namespace = 'adaptlet-system';
export const lifetimeMs = 30 * 86_400_000;
export const secret = 's'.repeat(43);
export const never = new AbortController().signal;

/** A device by hand: its key, and what it sends. */
export class FakeDevice {
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
  constructor(curve = 'P-256') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
    this.privateKey = privateKey;
    this.publicKey = publicKey.export({ type: 'spki', format: 'der' });
  }
  get pem(): string {
    return String(this.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  }
  enrolment(name = 'camera', of = secret) {
    const signature = sign('sha256', enrolStatement(of, this.publicKey), this.privateKey);
    return { name, secret: of, publicKey: this.publicKey, signature };
  }
  renewal(pem: string) {
    const certificate = new X509Certificate(pem).raw;
    return { certificate, signature: sign('sha256', renewStatement(certificate), this.privateKey) };
  }
}

type Change = { readonly name: string; readonly device: DeviceSpec | undefined; readonly deleted: boolean };

/** The AdapterRuntimes of an API server, which replicas see when they are shown them. */
export class Stage {
  readonly clock = new FakeClock(Date.parse('2026-06-01T00:00:00Z'));
  readonly api = new FakeApi();
  readonly writes: KubeRequest[] = [];
  readonly #truth = new FakeObjects();
  readonly #log: Change[] = [];
  readonly #replicas: { readonly objects: FakeObjects; seen: number; late: boolean }[] = [];

  /** Its authority, and a replica with it; `late`: it sees nothing before `show`. */
  async replica(
    name = 'operator-a',
    late = false,
  ): Promise<{ devices: Devices; authority: DeviceAuthority }> {
    const { clock } = this;
    const objects = new FakeObjects();
    this.#replicas.push({ objects, seen: 0, late });
    const authority = await DeviceAuthority.open(
      {
        api: this.api,
        namespace,
        replica: name,
        names: ['localhost', '127.0.0.1'],
        address: 'localhost:9445',
        clock,
        logger: silentLog,
        random: () => 0.5,
      },
      never,
    );
    const api = { request: <T>(request: KubeRequest): Promise<T> => this.#patch(request) as Promise<T> };
    const devices = new Devices({
      api,
      objects,
      authority,
      namespace,
      lifetimeMs,
      clock,
      logger: silentLog,
    });
    return { devices, authority };
  }

  /** As `kubectl adaptlet enrol` writes it, for an hour. */
  enrol(name = 'camera', more: Partial<DeviceSpec> = {}): void {
    const tokenSha256 = createHash('sha256').update(secret).digest('hex');
    const tokenExpires = new Date(this.clock.now() + 3_600_000).toISOString();
    this.#write({ name, device: { id: '0a', tokenSha256, tokenExpires, ...more }, deleted: false });
  }

  change(name: string, more: Partial<DeviceSpec>): void {
    const device = this.#device(name);
    if (device === undefined) throw new Error(`there is no device ${name}`);
    this.#write({ name, device: { ...device, ...more }, deleted: false });
  }

  delete(name: string): void {
    this.#write({ name, device: undefined, deleted: true });
  }

  /** What happened comes to all replicas. */
  show(): void {
    for (const replica of this.#replicas) {
      for (const change of this.#log.slice(replica.seen)) apply(replica.objects, change);
      replica.seen = this.#log.length;
    }
  }

  /** Lets promises run, then the time pass for which somebody waits. */
  async pass(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }

  #device(name: string): DeviceSpec | undefined {
    return this.#truth.runtimes.get(objectKey(namespace, name))?.object?.spec.device;
  }

  #write(change: Change): void {
    this.#log.push(change);
    apply(this.#truth, change);
    if (!this.#replicas.some(({ late }) => late)) this.show();
  }

  async #patch(request: KubeRequest): Promise<unknown> {
    this.writes.push(request);
    await settle();
    const name = request.path.split('/').at(-1) ?? '';
    const body = request.body as {
      metadata: { resourceVersion: string };
      spec: { device: Partial<DeviceSpec> };
    };
    const read = this.#truth.runtimes.get(objectKey(namespace, name));
    if (read === undefined) throw new AdaptletError('KUBE_NOT_FOUND', `${name} not found`);
    if (read.resourceVersion !== body.metadata.resourceVersion)
      throw new AdaptletError('KUBE_CONFLICT', `${name} was changed`);
    this.change(name, body.spec.device);
    return {};
  }
}

const apply = (objects: FakeObjects, { name, device, deleted }: Change): void => {
  if (deleted) objects.runtimes.delete(objectKey(namespace, name));
  else objects.runtime(namespace, name, {}, {}, [], device === undefined ? {} : { device });
};

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};
