import { objectKey } from '../../api/names.ts';
import type { RouteSpec } from '../../api/route.ts';
import { noRevision } from '../../control/revision.ts';
import { aRoute } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { aRuntimeObject, aRuntimeStatus, FakeFleet, runtimeKey } from '../testing/fake-fleet.ts';
import { partsOf } from '../testing/parts-of.ts';
import { RouteController } from './controller.ts';

export const key = objectKey('team-a', 'assistant');

/** For tests: the AdapterRoute team-a/assistant, runtimes, and a leader. */
export class RouteWorld {
  readonly cluster = new FakeCluster();
  readonly fleet = new FakeFleet();
  readonly clock = new FakeClock();
  controller = this.elect();

  elect(): RouteController {
    this.controller = new RouteController(partsOf(this));
    return this.controller;
  }
  join(...names: string[]): this {
    for (const name of names) {
      this.cluster.apply(aRuntimeObject(runtimeKey(name), {}, aRuntimeStatus(true)));
      this.fleet.report(runtimeKey(name));
    }
    return this;
  }
  /** The runtimes answer a plan of what is at the server now. */
  acknowledge(...names: string[]): this {
    const routes = BigInt(this.cluster.routes.server.get(key)?.resourceVersion ?? '0');
    for (const name of names)
      this.fleet.report(runtimeKey(name), { acknowledged: { ...noRevision, routes } });
    return this;
  }
  route(spec: Partial<RouteSpec> = {}, generation = 1): this {
    const { metadata, ...rest } = aRoute({ name: 'assistant' }, spec);
    const status = this.cluster.routes.server.get(key)?.object?.status;
    this.cluster.apply(
      { ...rest, metadata: { ...metadata, generation }, ...(status && { status }) },
      { generation },
    );
    return this;
  }
  async run(): Promise<void> {
    this.clock.advance(1000);
    await this.controller.reconcile(key, new AbortController().signal);
  }
  get status() {
    const status = this.cluster.routes.server.get(key)?.object?.status;
    if (status === undefined) throw new Error('there is no status');
    return status;
  }
  get verdicts(): string[] {
    return this.status.conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  }
}
