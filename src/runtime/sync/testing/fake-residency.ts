import { type Digest, type ObjectKey } from '../../../api/names.ts';
import type { AdapterResource, Versioned } from '../../../plan/resources.ts';
import type { AdapterView } from '../../residency/adapter-view.ts';
import type { Residency } from '../../residency/manager.ts';

/** Adapters of the plan in the states that a test says; Remote when it says nothing. */
export class FakeResidency {
  readonly states = new Map<
    string,
    { readonly state: string; readonly digest?: string; readonly reason?: string }
  >();
  readonly retried: ObjectKey[] = [];
  readonly applied: string[][] = [];
  #resources: readonly Versioned<AdapterResource>[] = [];

  apply(resources: readonly Versioned<AdapterResource>[]): void {
    this.#resources = resources;
    this.applied.push(resources.map(({ name }) => name));
  }

  facts(): AdapterView[] {
    return this.#resources.map(({ name, body }) => {
      const { state = 'Remote', digest = body.digest ?? '', reason = '' } = this.states.get(name) ?? {};
      return {
        key: name,
        digest: digest as Digest,
        state,
        serves: state === 'Resident',
        reason,
        message: '',
        pinned: body.pinned,
        priority: body.priority,
        references: 0,
        storedBytes: 10,
        residentBytes: state === 'Resident' ? 20 : 0,
        neededBytes: 20,
        rank: 8,
        targetModules: ['q_proj'],
      };
    });
  }

  state(key: ObjectKey): { kind: string; digest: string; failure: object } | undefined {
    const view = this.facts().find((one) => one.key === key);
    if (view === undefined) return undefined;
    return { kind: view.state, digest: view.digest, failure: { code: view.reason, message: '' } };
  }

  /** Why an adapter that is here would not serve. */
  readonly refusals = new Map<string, string>();
  async whyNot(key: ObjectKey): Promise<string | undefined> {
    return this.refusals.get(key);
  }

  serves(key: ObjectKey, digest: Digest): boolean {
    const found = this.states.get(key);
    return found?.state === 'Resident' && found.digest === digest;
  }

  retry(key: ObjectKey): void {
    this.retried.push(key);
  }

  retryFailed(code: string): void {
    for (const { key, reason } of this.facts()) if (reason === code) this.retried.push(key);
  }

  /** As the parts that follow a plan know it. */
  get whole(): Residency {
    return this as unknown as Residency;
  }
}
