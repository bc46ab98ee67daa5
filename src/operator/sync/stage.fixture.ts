import { afterEach, beforeEach } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { digestSchema } from '../../api/names.ts';
import type { Hello } from '../../gen/adaptlet/control/v1/control.ts';
import { anAdapter } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { type Lease, nodeToken, startReplica, TestApi, type TestReplica } from './fake-replica.ts';
import { FakeRuntime } from './fake-runtime.ts';

export const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
/** An Adapter that every runtime of its base model is sent. */
export const adapter = (name: string, more = {}) =>
  anAdapter({ name }, { digest, preload: { tier: 'Disk' }, ...more });

/** A replica for each test of a file, and runtimes that connect to it. Time goes on only when it is waited for. */
export class Stage {
  api = new TestApi();
  clock = new FakeClock(Date.now());
  lease: Lease = { leader: undefined, listeners: new Set() };
  #replica: TestReplica | undefined;
  #runtimes: FakeRuntime[] = [];

  constructor(more: { maxStrangers?: number } = {}) {
    beforeEach(async () => {
      this.api = new TestApi();
      this.clock = new FakeClock(Date.now());
      this.lease = { leader: undefined, listeners: new Set() };
      this.#runtimes = [];
      this.#replica = await startReplica('operator-a', {
        ...more,
        api: this.api,
        clock: this.clock,
        lease: this.lease,
        logger: silentLog,
      });
    });
    afterEach(async () => {
      for (const runtime of this.#runtimes) runtime.close();
      const closing = this.replica.server.close(1_000);
      this.clock.advance(5_000);
      await closing;
      this.replica.authority.close();
      this.replica.devices.authority.close();
    });
  }

  get replica(): TestReplica {
    if (this.#replica === undefined) throw new Error('there is no replica outside of a test');
    return this.#replica;
  }

  readonly dial = (token = nodeToken()): FakeRuntime => {
    const { server, authority } = this.replica;
    const runtime = new FakeRuntime(server.address, authority.credentials().bundle, token);
    this.#runtimes.push(runtime);
    return runtime;
  };

  /** A device that shows `certificate`, or nothing, to the listener for devices. */
  readonly dialAsDevice = (own?: { key: string; certificate: string }, token = ''): FakeRuntime => {
    const { server, devices } = this.replica;
    const { bundle } = devices.authority.credentials();
    const runtime = new FakeRuntime(server.deviceAddress ?? '', bundle, token, own);
    this.#runtimes.push(runtime);
    return runtime;
  };

  /** Time goes on, a little, while it is waited for what has to come. */
  readonly eventually = <T>(what: string, look: () => T | undefined | false): Promise<T> =>
    waitFor(
      what,
      () => {
        this.clock.advance(5);
        return look();
      },
      10_000,
    );

  readonly ended = (runtime: FakeRuntime) => this.eventually('the end of the stream', () => runtime.ended);

  readonly connected = async (more: Partial<Hello> = {}, name = 'node-1'): Promise<FakeRuntime> => {
    const runtime = this.dial(nodeToken(name));
    runtime.hello(more, name);
    await this.eventually('a Welcome', () => runtime.welcomed);
    return runtime;
  };

  /** Lets everything happen that is going to, for a moment. */
  readonly quiet = async (): Promise<void> => {
    const before = this.clock.monotonic();
    await this.eventually('a moment', () => this.clock.monotonic() - before > 60);
  };
}
